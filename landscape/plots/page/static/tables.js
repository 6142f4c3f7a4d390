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
