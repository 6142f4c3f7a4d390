// Pictures that Python has made: drawn when they come into view, with the choices they offer as controls of the page.

const CONFIG = { responsive: true, displaylogo: false, scrollZoom: false };
const NARROW = 700; // pixels, in which a legend finds no room beside a picture
const ROW = 22; // pixels of a row of a legend
const FEW = 6; // numbers on a logarithmic axis: more of them than that, and every digit of a decade has one
const CALLS = { update: "update", restyle: "restyle", relayout: "relayout" };

function picture(plot, figure) {
  const { data, layout } = figure;
  const menus = layout.updatemenus ?? [];
  const paths = data.map((trace) => inky(trace));
  const controls = plot.closest(".alternative").querySelector(".controls");
  delete layout.updatemenus;
  layout.margin = { t: 40, l: 60, r: 20, b: 50 };
  if (plot.clientWidth < NARROW) {
    layout.legend = { ...layout.legend, orientation: "h", x: 0, y: -0.12, yanchor: "top" };
    const entries = data.filter((trace) => trace.showlegend !== false && trace.name).length;
    plot.style.height = `${plot.clientHeight + ROW * Math.ceil(entries / 2)}px`;
  }
  layout.autosize = true;
  Object.values(layout).filter((axis) => axis?.type === "log").forEach((axis) => { axis.nticks ??= FEW; });
  const paint = () => {
    plot.data.forEach((trace, k) => inked(trace, paths[k] ?? []));
    return Plotly.relayout(plot, { template: template() });
  };
  data.forEach((trace, k) => inked(trace, paths[k]));
  const drawn = Plotly.newPlot(plot, data, { ...layout, template: template() }, CONFIG);
  repaints.add(paint);
  menus.forEach((menu) => controls.append(chooser(menu, plot)));
  return drawn;
}

// A list from the buttons that a figure brings.
function chooser(menu, plot) {
  const scale = menu.buttons.some((button) => /^(linear|logarithmic)/.test(button.label));
  const across = scale && Object.keys(menu.buttons[0].args[0])[0].startsWith("x");
  const names = menu.buttons.map((button) => button.label.replaceAll("_", " "));
  return select(scale ? (across ? "Horizontal scale" : "Scale") : "Show", names, menu.active ?? 0, (index) => {
    const { method, args } = menu.buttons[index];
    const few = scale && args[0][`${across ? "x" : "y"}axis.type`] === "log" ? { [`${across ? "x" : "y"}axis.nticks`]: FEW } : {};
    return Plotly[CALLS[method]](plot, { ...args[0], ...few }, ...args.slice(1));
  });
}

function select(name, options, chosen, changed) {
  const label = document.createElement("label");
  const list = document.createElement("select");
  options.forEach((words, index) => list.add(new Option(words, String(index), false, index === chosen)));
  list.addEventListener("change", () => changed(Number(list.value)));
  list.setAttribute("aria-label", name);
  label.append(`${name} `, list);
  return label;
}
