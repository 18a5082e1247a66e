// Shows /v1/openapi.json for people.
"use strict";

function make(name, look, ...children) {
  const element = document.createElement(name);
  if (look) element.className = look;
  element.append(...children);
  return element;
}

function table(heads, rows) {
  return make("table", "", make("thead", "", make("tr", "", ...heads.map((head) => make("th", "", head)))),
    make("tbody", "", ...rows.map((row) => make("tr", "", ...row.map((cell) => make("td", "", cell))))));
}

function example(method, path) {
  const address = location.origin + path.replace("{name}", "shapes-tiny");
  return method === "get" ? `curl ${address}`
    : `curl -H 'Content-Type: image/jpeg' --data-binary @picture.jpg '${address}?model=shapes-tiny&formats=onnx'`;
}

function described(path, method, operation) {
  const parts = [make("h2", "", make("span", "method", method.toUpperCase() + " "), make("code", "", path)),
    make("p", "", [operation.summary, operation.description].filter(Boolean).join(". "))];
  if (operation.parameters) {
    parts.push(table(["parameter", "in", "type", "default"], operation.parameters.map((one) =>
      [one.name + (one.required ? " (needed)" : ""), one.in, one.schema.type, String(one.schema.default ?? "")])));
  }
  parts.push(table(["answer", "meaning"], Object.entries(operation.responses).map(([code, one]) =>
    [code, one.description])), make("pre", "", example(method, path)));
  return make("article", "operation", ...parts);
}

fetch("v1/openapi.json").then((answer) => answer.json()).then((content) => {
  for (const [path, methods] of Object.entries(content.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      document.getElementById("operations").append(described(path, method, operation));
    }
  }
});
