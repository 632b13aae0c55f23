"""HTML pages: what is content, what is not, and what becomes of its structure."""

import pytest
import sample_files as sample

from retriever.loading import Content, load_bytes

ARTICLE = "".join(
    f"<p>Paragraph {n} of the article tells something about cheese, and it does so at a length "
    "that no menu entry ever has, with commas, and with a full stop at its end.</p>"
    for n in range(12)
)
MENU = "".join(f"<li><a href='/{n}'>Menu entry {n}</a></li>" for n in range(40))


def read(html: str | bytes, name: str = "a.html") -> Content:
    return load_bytes(html if isinstance(html, bytes) else html.encode(), name, sample.OPTIONS)


def page(body: str, head: str = "<title>A page</title>") -> str:
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{body}</body></html>"


def test_menus_and_footers_of_an_article_are_left_out() -> None:
    content = read(
        page(
            f"<nav><ul>{MENU}</ul></nav><article><h1>Cheese</h1>{ARTICLE}</article>"
            "<footer><p>All rights reserved by nobody</p></footer>"
        )
    )
    assert "Menu entry" not in content.text
    assert "reserved" not in content.text
    assert all(f"Paragraph {n} of" in content.text for n in range(12))
    assert content.title == "A page"
    assert content.metadata == {"language": "en"}


def test_headings_tables_and_code_of_a_documentation_page_survive() -> None:
    sections = "".join(
        f"<h2 id='s{n}'>Option <code>--opt-{n}</code></h2><p>Sets the thing number {n}.</p>"
        f"<pre><code class='language-sh'>tool \\\n    --opt-{n} value_{n}</code></pre>"
        f"<table><tr><th>Value</th><th>Meaning</th></tr><tr><td>a{n}</td><td>b|c</td></tr></table>"
        for n in range(30)
    )
    body = f"<nav><ul>{MENU}</ul></nav><main><h1>Manual</h1>{sections}</main><footer>Foot</footer>"
    content = read(page(body))
    titles = [heading.text for heading in content.headings]
    assert titles == ["Manual", *(f"Option --opt-{n}" for n in range(30))]
    for n in range(30):
        assert f"tool \\\n    --opt-{n} value_{n}" in content.text
        assert f"| a{n} | b\\|c |" in content.text
    assert "Menu entry" not in content.text
    assert "Foot" not in content.text


def test_headings_beside_an_article_do_not_bring_its_surroundings_back() -> None:
    beside = "".join(
        f"<div class='teaser'><h3>Teaser {n}</h3><p>Read also number {n}</p></div>"
        for n in range(9)
    )
    body = f"<div class='a'><div class='b'><h1>Cheese</h1>{ARTICLE}</div><div>{beside}</div></div>"
    content = read(page(body))
    assert "Paragraph 11 of" in content.text
    assert "Teaser 3" not in content.text


def test_a_short_page_gives_all_that_is_shown() -> None:
    content = read(
        page(
            "<script>var a = 1</script><style>p {}</style><noscript>enable it</noscript>"
            "<template>t</template><p hidden>h</p><p style='color:red; display : none'>n</p>"
            "<p>Shown<br>here</p><ul><li>one<ul><li>two</li></ul></li></ul><ol><li>x</li></ol>"
        )
    )
    assert content.text == "Shown\nhere\n\n- one\n  - two\n\n1. x"


def test_cells_that_span_rows_and_columns_stand_in_each_of_them() -> None:
    content = read(
        page(
            "<table><tr><th>Year</th><th>Month</th><th colspan=2>Money</th></tr>"
            "<tr><td rowspan=2>2025</td><td>May</td><td>1</td><td>2</td></tr>"
            "<tr><td>June</td><td>3</td><td>4</td></tr></table>"
        )
    )
    assert content.text.split("\n")[2:] == ["| 2025 | May | 1 | 2 |", "| 2025 | June | 3 | 4 |"]


@pytest.mark.parametrize(
    "declaration",
    [
        "<meta charset=windows-1251>",
        "<meta http-equiv='Content-Type' content='text/html; charset=cp1251'>",
    ],
)
def test_a_declared_encoding_is_honoured_wherever_it_stands(declaration: str) -> None:
    head = "<title>Страница</title><style>" + " " * 5000 + f"</style>{declaration}"
    content = read(page("<p>Привет, мир</p>", head).encode("cp1251"))
    assert (content.title, content.text) == ("Страница", "Привет, мир")


def test_utf8_is_believed_before_a_wrong_declaration() -> None:
    assert read(page("<p>naïve café</p>", "<meta charset=latin-1>")).text == "naïve café"


def test_a_page_under_another_name_is_read_as_what_it_is() -> None:
    assert read(page("<p>Hello</p>"), "report.doc").format == "html"
    assert read(page("<p>Hello</p>"), "page").format == "html"


def test_control_characters_do_no_harm() -> None:
    body = "<p>One\x0ctwo&#1;&#12;\x1f</p><div hidden>\x02</div>" + ARTICLE
    assert read(page(body)).text.startswith("One two")


def test_deep_nesting_is_survived() -> None:
    assert "deep" in read("<div>" * 20_000 + "deep" + "</div>" * 20_000).text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<ul>before<li>one</li>between<li>two</li></ul>", "before\n- one\nbetween\n- two"),
        ("<ol>before<li>one</li>between<li>two</ol>", "before\n1. one\nbetween\n2. two"),
        ("<ul><li>one<ul>inner<li>two</ul></ul>", "- one\n  inner\n  - two"),
        (
            "<table>before<tr>first<td>a<td>b</td>last</tr>after</table>",
            "before\n\nfirst\nlast\n\nafter\n\n| a | b |\n| --- | --- |",
        ),
        ("<table><tr><form><td>a<td>b</form></tr></table>", "| a | b |\n| --- | --- |"),
        ("<table><td>q</td><tr><td>a<td>b</table>", "q\n\na\n\nb"),
        ("<dl>before<dt>a</dt>between<dd>b</dl>", "before\n\na\n\nbetween\n\nb"),
        ("<details>before<summary>a</summary>after</details>", "before\n\na\n\nafter"),
        ("<figure>before<figcaption>a</figcaption>after</figure>", "before\n\na\n\nafter"),
        ("<pre>one<br>two<div>three</div>four</pre>", "```\none\ntwo\nthree\nfour\n```"),
    ],
)
def test_text_outside_of_items_and_cells_is_kept_and_words_stay_apart(body: str, text: str) -> None:
    assert read(page(body)).text == text


@pytest.mark.parametrize(
    "hidden",
    [
        "<table><tr><td>a<td>b<tr hidden><td>secret<td>c</table>",
        "<table><tr><td>a<td>b<tr style='display:none'><td>secret<td>c</table>",
        "<table><tr><td>a<td>b<tbody hidden><tr><td>secret<td>c</table>",
        "<table><caption hidden>secret</caption><tr><td>a<td>b</table>",
        "<pre>a<span hidden>secret</span>b<script>secret</script></pre>",
        "<div>" * 250 + "a<p hidden>secret</p><script>secret</script>b" + "</div>" * 250,
    ],
)
def test_what_is_hidden_is_left_out_wherever_it_stands(hidden: str) -> None:
    text = read(page(hidden)).text
    assert "secret" not in text
    assert "a" in text
    assert "b" in text


@pytest.mark.parametrize(
    "attribute",
    [
        "style='backface-visibility: hidden'",
        "style='color: red; backface-visibility:hidden; display: block'",
        "style='--display: none-yet'",
        "hidden=until-found",
    ],
)
def test_what_only_looks_hidden_is_kept(attribute: str) -> None:
    assert read(page(f"<p {attribute}>Shown</p><p>Beside</p>")).text == "Shown\n\nBeside"


@pytest.mark.parametrize(
    "style", ["display:none", "color:red;DISPLAY : none !important", "/**/visibility: hidden;top:0"]
)
def test_what_is_hidden_by_its_style_is_left_out(style: str) -> None:
    assert read(page(f"<p style='{style}'>Hidden</p><p>Beside</p>")).text == "Beside"


@pytest.mark.parametrize("after", ["<p>After</p>", "After", "<html><body>After</body></html>"])
def test_what_follows_the_end_of_a_page_is_kept(after: str) -> None:
    assert read(page("<p>Before</p>") + "\n" + after).text == "Before\n\nAfter"
