// Colours of the page and of the pictures on it: light or dark, as the system or the switch says.

const INKS = new Set(["ink", "black", "#000000"]); // colours that stand for that of letters
const LIGHTER = { "#0072B2": "#4aa8e8", "#666666": "#a3adb8" }; // what is hard to see in the dark, and what stands for it
const system = matchMedia("(prefers-color-scheme: dark)");
const repaints = new Set(); // called whenever colours change

function dark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : system.matches;
}

function colors() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(["ink", "grid", "paper"].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

function template() {
  const { ink, grid, paper } = colors();
  const clear = "rgba(0,0,0,0)";
  const flat = { gridcolor: grid, linecolor: grid, zerolinecolor: grid, automargin: true, title: { standoff: 14 } };
  const solid = { gridcolor: grid, linecolor: grid, zerolinecolor: grid, color: ink, showbackground: false };
  return {
    layout: {
      paper_bgcolor: clear, plot_bgcolor: clear, font: { color: ink, family: "system-ui, sans-serif" },
      xaxis: flat, yaxis: flat, scene: { xaxis: solid, yaxis: solid, zaxis: solid }, legend: { bgcolor: clear },
      hoverlabel: { bgcolor: paper, bordercolor: ink, font: { color: ink } }, shapedefaults: { line: { color: ink } },
      colorway: ["#0072B2", "#D55E00", "#009E73"].map(shade), modebar: { bgcolor: clear, color: ink, activecolor: ink },
    },
    data: { bar: [{ error_y: { color: ink }, error_x: { color: ink } }] },
  };
}

// Find the colours of a trace that change with those of the page: paths of names, and what stands there.
function inky(value, path = []) {
  if (typeof value === "string") return /color$/.test(path.at(-1)) && (INKS.has(value) || value in LIGHTER) ? [[path, value]] : [];
  if (value === null || typeof value !== "object" || ArrayBuffer.isView(value) || Array.isArray(value)) return [];
  return Object.entries(value).flatMap(([name, inner]) => inky(inner, [...path, name]));
}

function inked(trace, found) {
  for (const [path, value] of found)
    path.slice(0, -1).reduce((inner, name) => inner[name], trace)[path.at(-1)] = shade(value);
}

function shade(color) {
  if (INKS.has(color)) return colors().ink;
  return (dark() && LIGHTER[color]) || color;
}

function repaint() {
  const button = document.getElementById("theme");
  button.setAttribute("aria-pressed", String(dark()));
  repaints.forEach((paint) => paint());
}

function switchable() {
  const button = document.getElementById("theme");
  button.hidden = false;
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = dark() ? "light" : "dark";
    repaint();
  });
  system.addEventListener("change", repaint);
  repaint();
}
