"use strict";
// Behaviour of the page: light and dark colours, sortable tables, legends, linked maps. The only library is BokehJS.
window.subgrid = (() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const createElement = (tag, text = "", attributes = {}) => {
    const element = Object.assign(document.createElement(tag), { textContent: text });
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const roots = () => (window.Bokeh?.documents ?? []).flatMap((document) => document.roots());
  const model = (name) => Bokeh.documents.map((document) => document.get_model_by_name(name)).find(Boolean);
  // as format_number in subgrid.reporting.format_numbers
  const number = (value, digits = 4) => {
    if (!Number.isFinite(value)) return "n/a";
    if (value === 0) return "0";
    const size = Math.abs(value);
    const decimals = Math.max(digits - 1 - Math.floor(Math.log10(size)), 0);
    const text = size < 1e-4 || size >= 1e6 ? value.toExponential(digits - 1) : value.toFixed(decimals);
    return text.replaceAll("-", "−");
  };

  // --- light and dark ---------------------------------------------------------------------------
  const page = document.documentElement;
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (page.dataset.theme ? page.dataset.theme === "dark" : prefersDark.matches);
  const paint = () => {
    const style = getComputedStyle(page);
    const [ink, soft, rule] = ["--ink", "--soft", "--rule"].map((name) => style.getPropertyValue(name).trim());
    const set = (model, values) => { for (const [key, value] of Object.entries(values)) if (key in model) model[key] = value; };
    for (const plot of roots()) {
      plot.outline_line_color = rule;
      for (const part of [...plot.below, ...plot.left, ...plot.above, ...plot.right]) {
        set(part, {
          axis_label_text_color: ink, major_label_text_color: soft, axis_line_color: soft, major_tick_line_color: soft,
          minor_tick_line_color: null, label_text_color: ink, bar_line_color: rule, background_fill_color: null,
        });
      }
      for (const part of plot.center) set(part, { grid_line_color: rule });
      for (const renderer of plot.renderers) {
        if (!renderer.tags?.includes("ink")) continue;
        set(renderer.glyph, { line_color: { value: ink }, text_color: { value: ink } });
      }
    }
  };
  const setUpTheme = () => {
    const button = document.getElementById("theme");
    const updateButton = () => { button.textContent = dark() ? "Light" : "Dark"; button.setAttribute("aria-label", `Show the page in ${dark() ? "light" : "dark"} colours`); };
    try { page.dataset.theme = localStorage.getItem("subgrid-theme") ?? ""; } catch { /* a page opened from a file may have no storage */ }
    button.hidden = false;
    updateButton();
    const applyTheme = () => { updateButton(); paint(); };
    prefersDark.addEventListener("change", applyTheme);
    button.addEventListener("click", () => {
      page.dataset.theme = dark() ? "light" : "dark";
      try { localStorage.setItem("subgrid-theme", page.dataset.theme); } catch { /* the choice then lasts as long as the page is open */ }
      applyTheme();
    });
  };

  // --- tables that sort ---------------------------------------------------------------------------
  const sortBy = (table, head) => {
    const column = [...head.parentElement.children].indexOf(head);
    const bestFirst = head.dataset.first !== "yes" || head.getAttribute("aria-sort") === "none"; // at the first click
    for (const other of head.parentElement.children) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
    head.dataset.first = bestFirst ? "yes" : "no";
    const best = head.dataset.best; // order of the values where the best is first
    head.setAttribute("aria-sort", best === "other" || bestFirst ? best : best === "ascending" ? "descending" : "ascending");
    const key = (row) => row.children[column].dataset.key ?? row.children[column].textContent.trim();
    const body = table.tBodies[0];
    const compare = (rowA, rowB) => {
      const [a, b] = [key(rowA), key(rowB)];
      if (a === "" || b === "") return (a === "") - (b === ""); // rows without a value are last in either order
      const order = head.dataset.text === undefined ? a - b : a.localeCompare(b);
      return bestFirst ? order : -order;
    };
    body.append(...[...body.rows].sort(compare));
  };
  const setUpTables = () => {
    for (const table of all("table.ranked")) {
      for (const head of all("thead th[aria-sort]", table)) head.querySelector("button").addEventListener("click", () => sortBy(table, head));
    }
  };

  // --- legends: each shows and hides a system in all lines and points of its group ------------------
  const setUpLegends = () => {
    for (const legend of all(".legend")) {
      for (const button of all("button[data-of]", legend)) {
        button.addEventListener("click", () => {
          const visible = button.getAttribute("aria-pressed") !== "true";
          for (const twin of all(`.legend[data-key="${legend.dataset.key}"] button`)) {
            if (twin.dataset.of === button.dataset.of) twin.setAttribute("aria-pressed", String(visible));
          }
          for (const plot of roots()) {
            if (!plot.name?.startsWith(`${legend.dataset.key}-`)) continue;
            for (const renderer of plot.renderers) if (renderer.tags?.includes(`of:${button.dataset.of}`)) renderer.visible = visible;
          }
        });
      }
    }
  };

  // --- fields ---------------------------------------------------------------------------------------
  const inflate = async (text) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  };
  // the inverse of encode_field in subgrid.reporting.figures.encode_fields
  const decodeField = async (text, [rows, columns], [low, step]) => {
    const bytes = await inflate(text);
    const count = rows * columns;
    const levels = new Uint16Array(count);
    const out = new Float32Array(count);
    for (let y = 0, at = 0; y < rows; y++) {
      let sum = 0; // of the residuals of this row; with the row above it gives the level
      for (let x = 0; x < columns; x++, at++) {
        const folded = bytes[at] + 256 * bytes[count + at];
        sum += folded % 2 ? -(folded + 1) / 2 : folded / 2;
        levels[at] = sum + (y ? levels[at - columns] : 0);
        out[at] = levels[at] ? low + (levels[at] - 1) * step : NaN;
      }
    }
    return out;
  };

  // --- linked maps ------------------------------------------------------------------------------------
  const degrees = (value, kind) => {
    if (kind === "other") return String(Number(value.toPrecision(6))).replace("-", "−");
    const turned = kind === "longitude" ? ((((value + 180) % 360) + 360) % 360) - 180 : value;
    const size = Math.round(Math.abs(turned) * 1e4) / 1e4;
    if (size === 0 || (kind === "longitude" && size === 180)) return `${size}°`;
    return `${size}°${kind === "latitude" ? (turned < 0 ? "S" : "N") : turned < 0 ? "W" : "E"}`;
  };

  class Maps {
    constructor(root) {
      this.root = root;
      this.key = root.dataset.key;
      this.about = JSON.parse(root.querySelector("script[type='application/json']").textContent);
      this.fields = new Map();
      this.images = Object.fromEntries(
        ["coarse", "truth", "first", "first-error", "second", "second-error", "gain"].map((name) => [name, model(`${this.key}-image-${name}`)]),
      );
      this.NDArray = this.images.truth.data.image[0].constructor;
      this.ranges = ["x", "y"].map((name) => model(`${this.key}-range-${name}`));
      this.cursor = model(`${this.key}-cursor`);
      this.cell = null;
      this.controls = Object.fromEntries(all("select", root).map((select) => [select.name, select]));
      this.setUp();
    }

    setUp() {
      const { variables, systems, first, second } = this.about;
      const fill = (select, names) => select.replaceChildren(...names.map((name, i) => createElement("option", name, { value: i })));
      fill(this.controls.variable, variables.map(({ name, long_name: long }) => (long && long !== name ? `${name}: ${long}` : name)));
      fill(this.controls.time, variables[0].times.map((time) => time.label));
      fill(this.controls.first, systems);
      fill(this.controls.second, systems);
      this.controls.first.value = systems.indexOf(first);
      this.controls.second.value = systems.indexOf(second);
      for (const select of Object.values(this.controls)) select.addEventListener("change", () => this.update());
      const actions = { in: () => this.zoom(0.6), out: () => this.zoom(1 / 0.6), reset: () => this.reset(), pan: (button) => this.allowPan(button) };
      for (const button of all("button[data-act]", this.root)) button.addEventListener("click", () => actions[button.dataset.act](button));
      this.root.querySelector(".maps").addEventListener("keydown", (event) => this.press(event));
      if (matchMedia("(pointer: coarse)").matches) { // a finger scrolls the page unless the reader allows it to drag the maps
        for (const tool of this.panTools()) tool.active = false;
        this.root.querySelector("[data-act='pan']").hidden = false;
      }
    }

    panTools() {
      return roots().filter((plot) => plot.name?.startsWith(`${this.key}-map-`)).flatMap((plot) => plot.toolbar.tools.filter((tool) => tool.type === "PanTool"));
    }

    allowPan(button) {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(on));
      for (const tool of this.panTools()) tool.active = on;
    }

    get variable() { return this.about.variables[this.controls.variable.value]; }
    get time() { return this.variable.times[this.controls.time.value]; }
    get pair() { return ["first", "second"].map((name) => this.about.systems[this.controls[name].value]); }

    field(system) {
      const [variable, time] = [this.variable, this.time];
      const name = `${variable.name}/${time.label}/${system}`;
      if (!this.fields.has(name)) {
        const [text, shape, steps] =
          system === null ? [time.coarse, variable.coarse_shape, variable.coarse_steps] : [time.fields[system], variable.shape, variable.steps];
        this.fields.set(name, decodeField(text, shape, steps));
      }
      return this.fields.get(name);
    }

    setImage(name, values, [rows, columns]) {
      this.images[name].data = { image: [new this.NDArray(values, [rows, columns])] };
    }

    async update() {
      const request = (this.request = {});
      const { variable, time, pair } = this;
      const [coarse, truth, ...fields] = await Promise.all([null, "truth", ...pair].map((name) => this.field(name)));
      if (this.request !== request) return; // the reader has chosen something else meanwhile
      const [first, second] = fields.map((values) => values.map((value, i) => value - truth[i]));
      const colours = Object.fromEntries(["field", "error", "gain"].map((name) => [name, model(`${this.key}-colours-${name}`)]));
      colours.field.setv({ palette: variable.palette, low: variable.low, high: variable.high });
      for (const name of ["error", "gain"]) colours[name].setv({ low: -variable.error, high: variable.error });
      this.setImage("coarse", coarse, variable.coarse_shape);
      this.setImage("truth", truth, variable.shape);
      fields.forEach((values, i) => this.setImage(["first", "second"][i], values, variable.shape));
      this.setImage("first-error", first, variable.shape);
      this.setImage("second-error", second, variable.shape);
      this.setImage("gain", first.map((value, i) => Math.abs(value) - Math.abs(second[i])), variable.shape);
      this.caption(variable, time, pair);
      this.all = Object.fromEntries(await Promise.all(["truth", ...this.about.systems].map(async (name) => [name, await this.field(name)])));
      if (this.request !== request) return;
      this.coarse = coarse;
      if (this.cell) this.fillReadout();
      else {
        this.moveCursor(variable.shape[0] >> 1, variable.shape[1] >> 1);
        this.row = this.cell[0];
      }
      if (this.row !== undefined) this.profile(this.row);
      this.root.dataset.ready = `${variable.name} ${time.label} ${pair.join(" ")}`;
    }

    caption(variable, time, pair) {
      const unit = variable.units ? ` ${variable.units}` : "";
      const setCaption = (name, text) => { for (const caption of all(`[data-caption="${name}"]`, this.root)) caption.textContent = text; };
      pair.forEach((name, i) => {
        setCaption(["first", "second"][i], `${name}, RMSE ${number(time.rmse[name])}${unit}`);
        setCaption(["first-error", "second-error"][i], `${name} − truth`);
      });
      setCaption("gain", `Closer to the truth: ${pair[1]} (green) or ${pair[0]} (purple)`);
      setCaption("units", `${variable.name}${variable.units ? ` (${variable.units})` : ""}, ${time.label}`);
    }

    // --- the cursor, moved by the pointer or by keys
    point(event, x, y) {
      if (this.frame && event !== "tap") return;
      this.frame = requestAnimationFrame(() => {
        this.frame = 0;
        const { x: xs, y: ys } = this.about;
        const [rows, columns] = this.variable.shape;
        const at = (value, axis, count) => Math.floor(((value - axis.start) / (axis.end - axis.start)) * count);
        const [j, i] = [at(y, ys, rows), at(x, xs, columns)];
        if (j < 0 || i < 0 || j >= rows || i >= columns) return;
        this.moveCursor(j, i);
        if (event === "tap") this.profile(j);
      });
    }

    moveCursor(j, i) {
      this.cell = [j, i];
      const { x, y } = this.about;
      const [rows, columns] = this.variable.shape;
      const centre = (axis, at, count) => axis.start + ((at + 0.5) / count) * (axis.end - axis.start);
      this.cursor.data = { x: [centre(x, i, columns)], y: [centre(y, j, rows)] };
      this.fillReadout();
    }

    fillReadout() {
      const readout = this.root.querySelector(".readout");
      if (!this.cell || !this.all) return;
      const [j, i] = this.cell;
      const { x, y, systems } = this.about;
      const { shape: [rows, columns], coarse_shape: [coarseRows, coarseColumns] } = this.variable;
      const value = (name) => this.all[name][j * columns + i];
      const coarse = this.coarse[Math.floor((j * coarseRows) / rows) * coarseColumns + Math.floor((i * coarseColumns) / columns)];
      const line = (name, shown, error) => {
        const cells = [createElement("td", number(shown)), createElement("td", error === undefined ? "" : number(error, 3))];
        const row = createElement("tr");
        row.append(createElement("th", name, { scope: "row" }), ...cells);
        return row;
      };
      readout.querySelector("caption").textContent = `${degrees(y.centres[j], y.kind)}, ${degrees(x.centres[i], x.kind)}`;
      readout.querySelector("tbody").replaceChildren(
        line("coarse", coarse), line("truth", value("truth")),
        ...systems.map((name) => line(name, value(name), value(name) - value("truth"))),
      );
    }

    press(event) {
      const [rows, columns] = this.variable.shape;
      const step = event.shiftKey ? 10 : 1;
      const moves = { ArrowUp: [step, 0], ArrowDown: [-step, 0], ArrowLeft: [0, -step], ArrowRight: [0, step] };
      const actions = { "+": () => this.zoom(0.6), "=": () => this.zoom(0.6), "-": () => this.zoom(1 / 0.6), 0: () => this.reset() };
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (moves[event.key]) {
        const [j, i] = this.cell ?? [rows >> 1, columns >> 1];
        const clamp = (value, count) => Math.min(Math.max(value, 0), count - 1);
        this.moveCursor(clamp(j + moves[event.key][0], rows), clamp(i + moves[event.key][1], columns));
      } else if (actions[event.key]) actions[event.key]();
      else if (event.key === "Enter" && this.cell) this.profile(this.cell[0]);
      else return;
      event.preventDefault();
    }

    zoom(share) {
      const marks = [this.cursor.data.x[0], this.cursor.data.y[0]];
      this.ranges.forEach((range, k) => {
        const axis = this.about["xy"[k]];
        const inside = marks[k] >= range.start && marks[k] <= range.end;
        const middle = inside ? marks[k] : (range.start + range.end) / 2;
        const length = Math.min((range.end - range.start) * share, axis.end - axis.start);
        const start = Math.min(Math.max(middle - length / 2, axis.start), axis.end - length);
        range.setv({ start, end: start + length });
      });
    }

    reset() {
      this.ranges.forEach((range, k) => { const { start, end } = this.about["xy"[k]]; range.setv({ start, end }); });
    }

    // --- the row under the cursor, as lines
    async profile(row) {
      this.row = row;
      const [, columns] = this.variable.shape;
      for (const name of ["truth", ...this.about.systems]) {
        const source = model(`${this.key}-profile-${this.variable.name}-line-${name}`);
        const values = await this.field(name);
        const y = Float64Array.from(values.subarray(row * columns, (row + 1) * columns));
        // the page may hold only a part of a large grid's columns
        if (source) source.data = { x: Float64Array.from(this.about.x.centres), y };
      }
      const text = `${this.variable.name} along ${degrees(this.about.y.centres[row], this.about.y.kind)}, ${this.time.label}`;
      for (const caption of all(`[data-profile="${this.key}-${this.variable.name}"]`)) caption.textContent = text;
    }
  }

  // Bokeh makes each figure a tab stop, but without a name and without any key that it responds to
  const removeTabStops = () => {
    const elements = roots().map((plot) => Bokeh.index[plot.id]?.canvas_view?.events_el);
    for (const element of elements) element?.removeAttribute("tabindex");
    if (!elements.every(Boolean)) setTimeout(removeTabStops, 100);
  };

  const maps = {};
  const start = () => {
    setUpTheme();
    setUpTables();
    setUpLegends();
    paint();
    for (const root of all(".linked")) {
      if (!("DecompressionStream" in window)) { root.replaceChildren(createElement("p", "The maps need a browser from 2023 or later.")); continue; }
      maps[root.dataset.key] = new Maps(root);
      maps[root.dataset.key].update();
    }
    removeTabStops();
    if (matchMedia("(pointer: coarse)").matches) {
      for (const plot of roots()) for (const tool of plot.toolbar.tools) if (tool.type === "PanTool") tool.active = false;
    }
    page.dataset.started = "yes";
  };
  const ready = () => (window.Bokeh && Bokeh.documents.length && Bokeh.documents.every((document) => document.roots().length) ? start() : setTimeout(ready, 30));
  document.addEventListener("DOMContentLoaded", () => (document.querySelector(".plot") ? ready() : start()));
  return { maps };
})();
