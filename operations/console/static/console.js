// Charts that one can hover and zoom, and tables that one can sort and filter. Pages are whole without this script.
"use strict";

const WIDEST = 1000, HEIGHT = 260, LEFT = 56, RIGHT = 12, TOP = 16, BOTTOM = 28;

function element(name, attributes, parent, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

function ticks(low, high) {
  const step = 10 ** Math.floor(Math.log10((high - low) / 4));
  const size = [1, 2, 5, 10].map((each) => each * step).find((each) => (high - low) / each <= 5);
  const found = [];
  for (let at = Math.ceil(low / size) * size; at <= high + size / 1e6; at += size) found.push(Number(at.toPrecision(10)));
  return found;
}

function range(series, first, last) {
  const seen = Object.values(series).flatMap((values) => values.slice(first, last + 1)).filter((each) => each !== null);
  if (!seen.length) return [0, 1];
  const low = Math.min(...seen), high = Math.max(...seen), space = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1;
  return [low - space, high + space];
}

class Chart {
  constructor(figure) {
    this.figure = figure;
    this.data = JSON.parse(figure.dataset.chart);
    this.first = 0;
    this.last = this.data.x.length - 1;
    // Drawn as wide as it is shown, so that its words stay as large on a phone.
    this.width = Math.min(WIDEST, Math.max(280, figure.clientWidth));
    this.svg = element("svg", { viewBox: `0 0 ${this.width} ${HEIGHT}`, role: "img", "aria-label": this.data.title }, document.createElement("div"));
    figure.querySelector("figcaption").after(this.legend(), this.svg);
    this.tip = document.createElement("div");
    this.tip.className = "tip";
    this.tip.hidden = true;
    figure.append(this.tip);
    this.svg.addEventListener("pointermove", (event) => this.hover(event));
    this.svg.addEventListener("pointerleave", () => this.leave());
    this.svg.addEventListener("pointerdown", (event) => { this.from = this.index(event); });
    this.svg.addEventListener("pointerup", (event) => this.zoom(this.index(event)));
    this.svg.addEventListener("dblclick", () => { this.show(0, this.data.x.length - 1); });
    this.draw();
  }

  legend() {
    const list = document.createElement("ul");
    list.className = "legend";
    Object.keys(this.data.series).forEach((name, at) => {
      const item = document.createElement("li"), line = document.createElement("i");
      line.className = `c${(at % 6) + 1}`;
      item.append(line, name);
      list.append(item);
    });
    return list;
  }

  x(at) { return LEFT + ((this.width - LEFT - RIGHT) * (at - this.first)) / Math.max(1, this.last - this.first); }

  y(value) { return HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * (value - this.low)) / (this.high - this.low); }

  index(event) {
    const box = this.svg.getBoundingClientRect(), at = ((event.clientX - box.left) / box.width) * this.width;
    const share = (at - LEFT) / (this.width - LEFT - RIGHT);
    return Math.min(this.last, Math.max(this.first, Math.round(this.first + share * (this.last - this.first))));
  }

  show(first, last) {
    [this.first, this.last] = [first, last];
    this.draw();
  }

  zoom(to) {
    const [first, last] = [Math.min(this.from, to), Math.max(this.from, to)];
    this.from = undefined;
    if (last - first >= 2) this.show(first, last);
  }

  draw() {
    this.svg.replaceChildren();
    [this.low, this.high] = range(this.data.series, this.first, this.last);
    for (const value of ticks(this.low, this.high)) {
      element("line", { class: "grid", x1: LEFT, x2: this.width - RIGHT, y1: this.y(value), y2: this.y(value) }, this.svg);
      element("text", { x: LEFT - 6, y: this.y(value) + 4, "text-anchor": "end" }, this.svg, String(value));
    }
    const shown = Math.min(this.width < 600 ? 3 : 6, this.last - this.first + 1);
    for (let each = 0; each < shown; each++) {
      const at = Math.round(this.first + ((this.last - this.first) * each) / Math.max(1, shown - 1));
      const anchor = each === 0 ? "start" : each === shown - 1 ? "end" : "middle";
      element("text", { x: this.x(at), y: HEIGHT - 8, "text-anchor": anchor }, this.svg, this.data.x[at].split(/[T,]/)[0]);
    }
    for (const [where, text] of Object.entries(this.data.marks)) {
      const at = this.data.x.indexOf(where);
      if (at < this.first || at > this.last) continue;
      element("line", { class: "mark", x1: this.x(at), x2: this.x(at), y1: TOP, y2: HEIGHT - BOTTOM }, this.svg);
      element("text", { x: this.x(at) + 4, y: TOP + 8 }, this.svg, text);
    }
    Object.values(this.data.series).forEach((values, which) => {
      let path = "", dots = "", drawn = false;
      for (let at = this.first; at <= this.last; at++) {
        if (values[at] === null) { drawn = false; continue; }
        path += `${drawn ? "L" : "M"}${this.x(at).toFixed(1)} ${this.y(values[at]).toFixed(1)}`;
        if (!drawn && (at === this.last || values[at + 1] === null)) dots += `M${this.x(at).toFixed(1)} ${this.y(values[at]).toFixed(1)}h0.01`;
        drawn = true;
      }
      element("path", { class: `c${(which % 6) + 1}`, d: path }, this.svg);
      element("path", { class: `c${(which % 6) + 1} dot`, d: dots }, this.svg);
    });
    this.cursor = element("line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM, visibility: "hidden" }, this.svg);
    this.span = element("rect", { class: "zoom", y: TOP, height: HEIGHT - TOP - BOTTOM, width: 0 }, this.svg);
  }

  hover(event) {
    const at = this.index(event);
    this.cursor.setAttribute("x1", this.x(at));
    this.cursor.setAttribute("x2", this.x(at));
    this.cursor.setAttribute("visibility", "visible");
    if (this.from !== undefined) {
      this.span.setAttribute("x", Math.min(this.x(this.from), this.x(at)));
      this.span.setAttribute("width", Math.abs(this.x(at) - this.x(this.from)));
    }
    const lines = Object.entries(this.data.series).map(([name, values]) => `${name}: ${values[at] === null ? "–" : Number(values[at].toPrecision(4))}`);
    this.tip.textContent = [this.data.x[at], ...lines].join("\n");
    this.tip.hidden = false;
    const right = (this.x(at) / this.width) > 0.6;
    this.tip.style.left = right ? "auto" : `${(this.x(at) / this.width) * 100 + 2}%`;
    this.tip.style.right = right ? `${100 - (this.x(at) / this.width) * 100 + 2}%` : "auto";
  }

  leave() {
    this.tip.hidden = true;
    this.cursor.setAttribute("visibility", "hidden");
    this.from = undefined;
    this.span.setAttribute("width", 0);
  }
}

function compare(one, other) {
  const [a, b] = [one, other].map((text) => Number(text.replaceAll(",", "")));
  if (!Number.isNaN(a) && !Number.isNaN(b)) return a - b;
  return one.localeCompare(other);
}

function sortable(table) {
  const body = table.tBodies[0], parameters = new URLSearchParams(location.search);
  const heads = [...table.tHead.rows[0].cells];
  const cell = (row, at) => row.cells[at].textContent.trim();
  const keep = (name, value) => {
    const url = new URL(location);
    if (value) url.searchParams.set(`${table.id}.${name}`, value); else url.searchParams.delete(`${table.id}.${name}`);
    history.replaceState(null, "", url);
  };
  const sort = (at, down) => {
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[at].setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...[...body.rows].sort((one, other) => (down ? -1 : 1) * compare(cell(one, at), cell(other, at))));
    keep("sort", `${down ? "-" : ""}${at}`);
  };
  heads.forEach((head, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sort(at, head.getAttribute("aria-sort") === "ascending"));
    head.replaceChildren(button);
  });
  const input = document.createElement("input");
  const filter = () => {
    const wanted = input.value.toLowerCase();
    for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    keep("filter", input.value);
  };
  if (body.rows.length > 8) {
    input.type = "search";
    input.className = "filter";
    input.placeholder = "Filter";
    input.setAttribute("aria-label", `Filter ${table.caption ? table.caption.textContent : "rows"}`);
    input.value = parameters.get(`${table.id}.filter`) || "";
    input.addEventListener("input", filter);
    table.parentElement.before(input);
    if (input.value) filter();
  }
  const wanted = parameters.get(`${table.id}.sort`);
  if (wanted && heads[Math.abs(Number(wanted))]) sort(Math.abs(Number(wanted)), wanted.startsWith("-"));
}

document.querySelectorAll("figure.chart").forEach((figure) => new Chart(figure));
document.querySelectorAll("table[data-sortable]").forEach(sortable);
