"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const count = data.x.length;
  const byId = (id) => document.getElementById(id);
  const canvas = byId("map"), pen = canvas.getContext("2d");
  const card = byId("card"), search = byId("search");
  const shown = data.groups.map(() => true);
  let hits = null;                       // Uint8Array of what the search found; null without one
  let view = { scale: 1, left: 0, top: 0 };
  let over = -1, held = -1, drag = null, waiting = false;

  // Points by the cell that they stand in: what is under the pointer is looked up in a few cells.
  const CELLS = 128, cells = new Map();
  const cellOf = (value) => Math.min(CELLS - 1, Math.max(0, Math.floor(value / data.scale * CELLS)));
  for (let i = 0; i < count; i++) {
    const key = cellOf(data.y[i]) * CELLS + cellOf(data.x[i]);
    if (cells.has(key)) cells.get(key).push(i); else cells.set(key, [i]);
  }
  const members = data.groups.map(() => []);
  for (let i = 0; i < count; i++) members[data.group[i]].push(i);

  const radius = () => Math.min(9, (count > 5000 ? 2.2 : count > 500 ? 3.2 : 5) * Math.sqrt(view.scale / fit().scale));
  const visible = (i) => shown[data.group[i]];

  function fit() {
    const panel = innerWidth > 760 ? 310 : 0, pad = 24;
    const scale = Math.max(0.001, Math.min(innerWidth - panel - 2 * pad, innerHeight - 2 * pad) / data.scale);
    return { scale, left: (innerWidth - panel - scale * data.scale) / 2, top: (innerHeight - scale * data.scale) / 2 };
  }

  // Points are written into the pixels themselves: with or without a graphics card, 20,000 of
  // them take a few milliseconds. A pixel keeps the point that covers most of it.
  const inks = data.groups.map((group) => {
    const hex = parseInt(group.colour.slice(1), 16);
    return ((hex & 255) << 16) | (hex & 0xff00) | (hex >> 16);
  });
  let frame = null, pixels = null;

  function stamp(size) {                 // how much of each pixel around it a point covers, 0 to 1
    const reach = Math.ceil(size), cover = [];
    for (let y = -reach; y <= reach; y++)
      for (let x = -reach; x <= reach; x++) {
        const part = Math.min(1, Math.max(0, size + 0.5 - Math.hypot(x, y)));
        if (part > 0) cover.push([x, y, part]);
      }
    return { reach, cover };
  }

  function paint(wanted, alpha, size, scale, left, top) {
    const { reach, cover } = stamp(size), width = canvas.width, height = canvas.height;
    const steps = Int32Array.from(cover, ([x, y]) => y * width + x);
    const alphas = Uint8Array.from(cover, ([, , part]) => Math.round(255 * alpha * part));
    members.forEach((group, number) => {
      if (!shown[number]) return;
      const ink = inks[number];
      for (const i of group) {
        if (hits && hits[i] !== wanted) continue;
        const x = Math.round(data.x[i] * scale + left), y = Math.round(data.y[i] * scale + top);
        if (x < reach || y < reach || x >= width - reach || y >= height - reach) continue;
        const place = y * width + x;
        for (let k = 0; k < steps.length; k++) {
          const at = place + steps[k];
          if (alphas[k] >= pixels[at] >>> 24) pixels[at] = (alphas[k] << 24) | ink;
        }
      }
    });
  }

  function draw() {
    waiting = false;
    const began = performance.now(), ratio = devicePixelRatio || 1;
    const width = Math.round(innerWidth * ratio), height = Math.round(innerHeight * ratio);
    if (!frame || canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
      frame = pen.createImageData(width, height);
      pixels = new Uint32Array(frame.data.buffer);
    }
    pixels.fill(0);
    const size = radius() * ratio, scale = view.scale * ratio, left = view.left * ratio, top = view.top * ratio;
    if (hits) { paint(0, 0.1, size, scale, left, top); paint(1, 1, size, scale, left, top); }
    else paint(0, 0.85, size, scale, left, top);
    pen.putImageData(frame, 0, 0);
    const marked = held >= 0 ? held : over;
    if (marked >= 0) {
      pen.strokeStyle = getComputedStyle(document.body).color;
      pen.lineWidth = 2 * ratio;
      pen.beginPath();
      pen.arc(data.x[marked] * scale + left, data.y[marked] * scale + top, size + 3 * ratio, 0, 2 * Math.PI);
      pen.stroke();
    }
    document.documentElement.dataset.drawMs = (performance.now() - began).toFixed(1);
  }
  const redraw = () => { if (!waiting) { waiting = true; requestAnimationFrame(draw); } };

  function nearest(px, py) {
    const reach = (radius() + 5) / view.scale;
    const x = (px - view.left) / view.scale, y = (py - view.top) / view.scale;
    let best = -1, least = reach * reach;
    for (let row = cellOf(y - reach); row <= cellOf(y + reach); row++)
      for (let column = cellOf(x - reach); column <= cellOf(x + reach); column++)
        for (const i of cells.get(row * CELLS + column) || []) {
          if (!visible(i) || (hits && !hits[i])) continue;
          const gap = (data.x[i] - x) ** 2 + (data.y[i] - y) ** 2;
          if (gap <= least) { least = gap; best = i; }
        }
    return best;
  }

  function tell(i) {                     // texts come from documents: only ever as text
    card.hidden = i < 0;
    if (i < 0) return;
    byId("card-title").textContent = data.title[i];
    byId("card-name").textContent = data.name[i] + " \u00b7 " + data.groups[data.group[i]].name;
    byId("card-text").textContent = data.text[i];
    card.classList.toggle("held", held >= 0);
    const x = data.x[i] * view.scale + view.left, y = data.y[i] * view.scale + view.top;
    const box = card.getBoundingClientRect();
    card.style.left = Math.max(8, Math.min(innerWidth - box.width - 8, x + 16 + box.width > innerWidth ? x - box.width - 16 : x + 16)) + "px";
    card.style.top = Math.max(8, Math.min(innerHeight - box.height - 8, y + 16)) + "px";
  }

  const leave = () => { over = held; tell(held); };

  canvas.addEventListener("pointermove", (event) => {
    if (drag) {
      view.left += event.clientX - drag.x;
      view.top += event.clientY - drag.y;
      drag = { x: event.clientX, y: event.clientY, far: drag.far + Math.abs(event.movementX) + Math.abs(event.movementY) };
      leave();
      return redraw();
    }
    if (held >= 0) return;
    const found = nearest(event.clientX, event.clientY);
    if (found !== over) { over = found; canvas.classList.toggle("over", over >= 0); tell(over); redraw(); }
  });
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    canvas.classList.add("moving");
    drag = { x: event.clientX, y: event.clientY, far: 0 };
  });
  canvas.addEventListener("pointerup", (event) => {
    canvas.classList.remove("moving");
    if (drag && drag.far < 4) { held = nearest(event.clientX, event.clientY); over = held; tell(held); redraw(); }
    drag = null;
  });
  canvas.addEventListener("pointerleave", () => { leave(); redraw(); });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.clientX, event.clientY);
  }, { passive: false });
  function zoom(factor, x, y) {
    const scale = Math.min(fit().scale * 200, Math.max(fit().scale * 0.5, view.scale * factor)), by = scale / view.scale;
    view = { scale, left: x - (x - view.left) * by, top: y - (y - view.top) * by };
    leave();
    redraw();
  }
  canvas.addEventListener("dblclick", () => { view = fit(); leave(); redraw(); });
  addEventListener("resize", () => { view = fit(); leave(); redraw(); });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") { held = over = -1; tell(-1); if (search.value) { search.value = ""; look(); } redraw(); }
    if (event.target === search) return;
    if (event.key === "/") { event.preventDefault(); search.focus(); }
    if (event.key === "+" || event.key === "-") zoom(event.key === "+" ? 1.3 : 1 / 1.3, innerWidth / 2, innerHeight / 2);
  });

  let lower = null;
  function look() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) { hits = null; byId("found").textContent = ""; return redraw(); }
    lower = lower || data.text.map((text, i) => (text + "\n" + data.title[i] + "\n" + data.name[i]).toLowerCase());
    hits = new Uint8Array(count);
    let number = 0;
    for (let i = 0; i < count; i++) if (words.every((word) => lower[i].includes(word))) { hits[i] = 1; number++; }
    byId("found").textContent = number.toLocaleString("en") + " found";
    redraw();
  }
  search.addEventListener("input", look);

  data.groups.forEach((group, number) => {
    const item = document.createElement("li"), button = document.createElement("button");
    const spot = document.createElement("i"), name = document.createElement("span"), size = document.createElement("b");
    spot.style.background = group.colour;
    name.textContent = group.name;
    size.textContent = members[number].length.toLocaleString("en");
    button.setAttribute("aria-pressed", "true");
    button.append(spot, name, size);
    button.addEventListener("click", () => {
      shown[number] = !shown[number];
      button.setAttribute("aria-pressed", String(shown[number]));
      redraw();
    });
    item.append(button);
    byId("legend").append(item);
  });
  byId("summary").textContent = count.toLocaleString("en") + " points, placed by " + data.method;
  view = fit();
  draw();
})();
