"use strict";

// Tables that sort: every heading becomes a button, numbers sort as numbers, what was not measured stays last.

const WIDEST = 9; // columns that paper has room for

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(table, heads, column));
  });
}

function sort(table, heads, column) {
  const turned = heads[column].getAttribute("aria-sort") === "ascending";
  heads.forEach((head) => head.removeAttribute("aria-sort"));
  heads[column].setAttribute("aria-sort", turned ? "descending" : "ascending");
  const body = table.tBodies[0];
  const keys = [...body.rows].map((row) => [row, key(row.cells[column])]);
  body.append(...keys.sort(([, a], [, b]) => ordered(a, b, turned ? -1 : 1)).map(([row]) => row));
  say(`Sorted by ${heads[column].textContent.trim()}, ${turned ? "descending" : "ascending"}`);
}

// A number, words, or null for nothing.
function key(cell) {
  const text = (cell.dataset.value ?? cell.textContent).trim().replace("−", "-");
  const number = /^[-+]?(\d|\.\d|inf)/i.test(text) ? parseFloat(text.replace(/^([-+]?)inf\w*/i, "$1Infinity")) : NaN;
  if (!Number.isNaN(number)) return number;
  return text === "" || text === "nan" || text === "–" ? null : text;
}

function ordered(a, b, way) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return way * (typeof a === "number" ? Math.sign(a - b) || 0 : a.localeCompare(b, "en", { numeric: true }));
}

// Tell those who do not see the page what has happened.
function say(words) {
  document.getElementById("status").textContent = words;
}

// Tell how much of a table is out of view, and keep all names of its rows in it.
function wide(box) {
  const scroll = box.querySelector(".scroll");
  const table = box.querySelector("table");
  const [first] = table.tHead.rows[0].cells;
  const told = Object.assign(document.createElement("p"), { className: "more" });
  told.setAttribute("aria-hidden", "true");
  box.before(told);
  const look = () => {
    const left = scroll.scrollWidth - scroll.clientWidth - scroll.scrollLeft;
    const heads = [...table.tHead.rows[0].cells];
    const edge = scroll.getBoundingClientRect();
    const behind = heads.slice(1).filter((head) => head.getBoundingClientRect().right > edge.right + 1).length;
    box.classList.toggle("more-right", left > 1);
    told.hidden = scroll.scrollWidth <= scroll.clientWidth + 1;
    told.textContent = left > 1 ? `${behind} more column${behind > 1 ? "s" : ""} to the right: scroll sideways →` : "← the last columns: scroll back";
    table.style.setProperty("--second", `${Math.floor(first.getBoundingClientRect().width)}px`);
  };
  scroll.addEventListener("scroll", look, { passive: true });
  new ResizeObserver(look).observe(scroll);
}

// Put a table with rows for columns in the place of one that is too wide for paper.
function narrowed(table) {
  const rows = [...table.rows];
  if (rows[0].cells.length <= WIDEST) return;
  const turned = Object.assign(document.createElement("table"), { className: "narrowed" });
  turned.append(table.caption.cloneNode(true));
  [...rows[0].cells].forEach((_, column) => {
    const line = turned.insertRow();
    rows.forEach((row) => line.append(row.cells[column].cloneNode(true)));
  });
  table.after(turned);
  table.classList.add("printed");
}
