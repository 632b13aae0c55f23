"""Settings of a search: which rankers answer, what is made of their ranking, and what helps."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from retriever.settings.values import LocalPath, NotNegative, Positive, Seconds, Section, Weight


class RetrievalSettings(Section):
    """How passages are found."""

    mode: Literal["hybrid", "semantic", "lexical"] = Field(
        "hybrid", description="Which rankers answer: by meaning, by words, or hybrid: both."
    )
    language: str = Field(
        "auto", description="Of all documents, as in en or de; auto tells it for each of them."
    )
    top_k: Positive = Field(5, description="Passages returned.")
    candidate_count: Annotated[int, Field(ge=1, le=10_000)] = Field(
        100, description="Candidates that each ranker names; never fewer than top_k."
    )
    min_score: float | None = Field(None, description="Passages that score lower are left out.")
    calibration: LocalPath | None = Field(
        None, description="What `eval --calibrate` wrote: passages tell how likely they answer."
    )
    table_mb: NotNegative = Field(
        400, description="Most memory for exact search and remembered passages; 0 for none."
    )
    semantic_weight: Weight = Field(1.0, description="Factor on the semantic ranking's weight.")
    lexical_weight: Weight = Field(1.0, description="Factor on the lexical ranking's weight.")
    duplicates: Literal["near", "equal", "none"] = Field(
        "near", description="Which texts become one passage with several sources."
    )
    max_per_document: Positive | None = Field(
        None, description="Most chunks of one document in an answer."
    )
    mmr_balance: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="Spread answers by MMR: 1 is relevance alone, 0 difference alone."
    )
    merge_neighbours: bool = Field(
        True, description="Chunks of an answer that follow one another become one passage."
    )
    expand: Annotated[int, Field(ge=0, le=100)] = Field(
        0, description="Chunks added before and after each one of an answer."
    )


class RerankingSettings(Section):
    """What reads query and passages together, and orders them anew."""

    backend: str = Field(
        "none",
        description="none, cross-encoder, service, late-interaction, "
        "or package.module:Class of your own.",
    )
    model: str = Field(
        "", description="A cross-encoder's name or folder, or the name of a service's model."
    )
    base_url: str | None = Field(
        None, description="A service that speaks Cohere's protocol; /rerank is added. Cohere's own."
    )
    api_key: SecretStr | None = Field(
        None, description="The service's key; CO_API_KEY is honoured for Cohere's own."
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps (cross-encoder).")
    window_tokens: Positive = Field(
        512, description="Tokens that a cross-encoder reads of query and text together."
    )
    candidate_count: Annotated[int, Field(ge=1, le=1_000)] = Field(
        50, description="Candidates that are reranked; never fewer than top_k."
    )
    timeout_s: Seconds = Field(
        5.0, description="After this the passages stay as they were, with a warning."
    )


class LLMSettings(Section):
    """A language model of one's own: `retriever questions` lets it draft, nothing else asks it."""

    model: str | None = Field(None, description="Its name; questions come from headings if unset.")
    base_url: str = Field(
        "https://api.openai.com/v1", description="A server that speaks OpenAI's protocol."
    )
    api_key: SecretStr | None = Field(
        None, description="The server's key; OPENAI_API_KEY is honoured for OpenAI's own."
    )
    timeout_s: Seconds = Field(60.0, description="Time limit of one answer.")
