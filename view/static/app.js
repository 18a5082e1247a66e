// The page of zoo view: sends a picture, or a video frame by frame, to /v1/detect and draws what comes back.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const WIDEST_FRAME = 1280; // pixels of a video frame that is sent
const MARK = "#ff00c8"; // the frame around what the formats see differently
const MASK = 0.45; // how much of a mask's pixels is its colour
const by = (id) => document.getElementById(id);

let current = null; // what is looked at: {kind: "picture", blob} or {kind: "video"}
let turn = 0; // counts what was asked, so that an answer that comes too late is dropped

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function say(text, bad = false) {
  by("status").textContent = text;
  by("status").className = bad ? "bad" : "";
}

function formats() {
  return [...document.querySelectorAll("#formats input:checked")].map((box) => box.value);
}

async function loadModels() {
  const models = await (await fetch("v1/models")).json();
  const group = (label, members) => make("optgroup", { label },
    ...members.map((one) => make("option", { value: one.name }, one.name)));
  const here = models.filter((one) => one.here), away = models.filter((one) => !one.here);
  by("model").append(group("on this machine", here));
  if (away.length) by("model").append(group("to be fetched: zoo fetch NAME", away));
  by("model-hint").textContent = `${here.length} of ${models.length} are on this machine.`;
  const asked = new URLSearchParams(location.search);
  if (models.some((one) => one.name === asked.get("model"))) by("model").value = asked.get("model");
}

async function detect(blob) {
  const query = new URLSearchParams({
    model: by("model").value, formats: formats().join(","), threshold: by("threshold").value,
  });
  const kind = blob.type.startsWith("image/") ? blob.type : "application/octet-stream";
  const answer = await fetch(`v1/detect?${query}`, { method: "POST", body: blob, headers: { "Content-Type": kind } });
  const content = await answer.json();
  if (answer.ok) return content;
  throw new Error([content.error.message, content.error.hint].filter(Boolean).join(" — "));
}

async function look() {
  if (!current) return;
  if (!formats().length) { say("Choose at least one format.", true); return; }
  if (current.kind === "video") { lookAtFrame(); return; }
  const own = ++turn;
  say("Looking…");
  by("results").setAttribute("aria-busy", "true");
  try {
    const found = await detect(current.blob); // first, because the server says best what is wrong with a file
    const image = await createImageBitmap(current.blob);
    if (own === turn) show(found, image);
  } catch (error) {
    if (own === turn) { say(error.message, true); by("results").replaceChildren(); }
  }
  if (own === turn) by("results").removeAttribute("aria-busy");
}

function show(found, image) {
  by("results").replaceChildren(...found.results.map((one) => panel(one, found.picture, image)));
  for (const group of document.querySelectorAll("g.tag")) plate(group, found.picture);
  const different = found.results.filter((one) => !one.same).length;
  say(different ? `${different} of ${found.results.length} formats see something else.`
    : found.results.length > 1 ? "All formats see the same." : "");
}

function panel(result, picture, image) {
  const canvas = make("canvas", { width: picture.width, height: picture.height });
  const pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0, picture.width, picture.height);
  paintMasks(pen, result.detections, picture);
  const seconds = result.seconds, all = seconds.prepare + seconds.inference + seconds.finish;
  const ms = (value) => `${(1000 * value).toFixed(1)} ms`;
  const facts = make("dl", { class: "facts" });
  const fact = (name, value, look = "") => facts.append(make("dt", {}, name), make("dd", { class: look }, value));
  fact("Detections", result.detections.length + (result.same ? "" : `: ${result.finding}`), result.same ? "" : "bad");
  fact("Inference", `${ms(seconds.inference)} · ${(1 / seconds.inference).toFixed(1)} FPS`);
  fact("With the rest", `${ms(all)} · ${(1 / all).toFixed(1)} FPS`);
  fact("Verdict", ...verdict(result.verdicts));
  return make("article", { "data-format": result.format },
    make("header", {}, make("h2", {}, result.format), make("span", {}, `${result.runtime} · ${result.device}`)),
    make("div", { class: "stage" }, canvas, boxes(result, picture)), facts, list(result.detections));
}

function verdict(verdicts) {
  if (!verdicts.length) return ["not verified yet: zoo verify", "unknown"];
  const told = verdicts.map((one) => `${one.verdict} on ${one.device}` + (one.reason ? `: ${one.reason}` : ""));
  return [told.join("; "), verdicts.every((one) => one.verdict === "pass") ? "good" : "bad"];
}

function boxes(result, picture) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${picture.width} ${picture.height}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${result.detections.length} detections by ${result.format}`);
  const thick = (width) => ({ "stroke-width": width, "vector-effect": "non-scaling-stroke" }); // screen pixels
  for (const one of [...result.detections].reverse()) {
    const [left, top, width, height] = one.box;
    const frame = { x: left * picture.width, y: top * picture.height, width: width * picture.width,
      height: height * picture.height, fill: "none" };
    if (one.differs) svg.append(draw("rect", { ...frame, stroke: MARK, ...thick(9) }));
    svg.append(draw("rect", { ...frame, stroke: "#141414", ...thick(4.5) }));
    svg.append(draw("rect", { ...frame, stroke: one.colour, ...thick(2.5), class: "box" }));
  }
  for (const one of [...result.detections].reverse()) {
    const group = draw("g", { class: "tag" });
    const text = draw("text", {});
    text.textContent = `${one.label} ${one.score.toFixed(2)}`;
    group.dataset.box = JSON.stringify(one.box);
    group.append(draw("rect", { fill: one.colour }), text);
    svg.append(group);
  }
  return svg;
}

// The best on top, as in the pictures of zoo detect. A mask of another size than the picture is not drawn.
function paintMasks(pen, detections, { width, height }) {
  const masks = detections.filter(({ segmentation: mask }) => mask && mask.size[0] === height && mask.size[1] === width);
  if (!masks.length) return;
  const pixels = pen.getImageData(0, 0, width, height), data = pixels.data;
  for (const one of masks.reverse()) {
    const colour = [1, 3, 5].map((at) => parseInt(one.colour.slice(at, at + 2), 16));
    let at = 0; // runs go down the columns, and every other one belongs to the thing
    runs(one.segmentation.counts).forEach((length, number) => {
      const end = Math.min(at + length, width * height);
      for (let cell = number % 2 ? at : end; cell < end; cell += 1) {
        const place = 4 * ((cell % height) * width + Math.floor(cell / height));
        for (let part = 0; part < 3; part += 1) data[place + part] += MASK * (colour[part] - data[place + part]);
      }
      at = end;
    });
  }
  pen.putImageData(pixels, 0, 0);
}

// COCO's compressed run lengths: five bits a letter, lowest first; from the third on each is a difference to the last but one.
function runs(counts) {
  const found = [];
  for (let at = 0; at < counts.length;) {
    let value = 0, shift = 0, bits;
    do {
      bits = counts.charCodeAt(at) - 48;
      value |= (bits & 31) << shift;
      at += 1; shift += 5;
    } while (bits & 32);
    if (bits & 16 && shift < 32) value |= -1 << shift;
    found.push(found.length > 2 ? value + found[found.length - 2] : value);
  }
  return found;
}

function draw(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

// The text's plate goes above its frame, or inside where there is no room; it never leaves the picture.
function plate(group, picture) {
  const [rect, text] = group.children, [left, top] = JSON.parse(group.dataset.box);
  const shown = group.ownerSVGElement.clientWidth / picture.width || 1;
  const size = Math.min(16, Math.max(12, group.ownerSVGElement.clientWidth / 40)) / shown;
  text.setAttribute("font-size", size);
  text.setAttribute("fill", ink(rect.getAttribute("fill")));
  const width = text.getComputedTextLength() + size * 0.6, height = size * 1.35;
  const x = Math.max(0, Math.min(left * picture.width, picture.width - width));
  const above = top * picture.height - height;
  const y = Math.max(0, Math.min(above >= 0 ? above : top * picture.height, picture.height - height));
  for (const [key, value] of Object.entries({ x, y, width, height })) rect.setAttribute(key, value);
  text.setAttribute("x", x + size * 0.3);
  text.setAttribute("y", y + size);
}

function ink(colour) {
  const [red, green, blue] = [1, 3, 5].map((at) => (parseInt(colour.slice(at, at + 2), 16) / 255) ** 2.2);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 ? "#000" : "#fff";
}

function list(detections) {
  const head = make("tr", {}, make("th", {}, "What"), make("th", { class: "number" }, "Score"),
    make("th", { class: "number" }, "Left, top, width, height in %"));
  const rows = detections.map((one) => make("tr", { class: one.differs ? "differs" : "" }, make("td", {}, one.label),
    make("td", { class: "number" }, one.score.toFixed(3)),
    make("td", { class: "number" }, one.box.map((value) => (100 * value).toFixed(1)).join(", "))));
  return make("details", {}, make("summary", {}, "As a table"),
    make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
}

function take(file) {
  const video = by("video");
  turn += 1;
  if (video.src) URL.revokeObjectURL(video.src);
  video.pause();
  video.hidden = !file.type.startsWith("video/");
  if (!video.hidden) {
    current = { kind: "video", busy: false };
    video.src = URL.createObjectURL(file);
    video.play().catch(() => say("Press play: this browser does not start videos by itself."));
    return;
  }
  video.removeAttribute("src");
  current = { kind: "picture", blob: file };
  look();
}

// One frame at a time: the next is taken when the answer is there, so a slow model skips frames and falls not behind.
async function lookAtFrame() {
  const video = by("video"), own = turn;
  if (!current || current.kind !== "video" || current.busy || !video.videoWidth || !formats().length) return;
  current.busy = true;
  const scale = Math.min(1, WIDEST_FRAME / video.videoWidth);
  const canvas = make("canvas", { width: Math.round(video.videoWidth * scale), height: Math.round(video.videoHeight * scale) });
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  const began = performance.now();
  try {
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.92));
    const found = await detect(blob);
    if (own === turn) {
      show(found, canvas);
      say(`${by("status").textContent} ${(1000 / (performance.now() - began)).toFixed(1)} frames a second, page included.`);
    }
  } catch (error) {
    if (own === turn) { say(error.message, true); video.pause(); }
  }
  if (own !== turn) return;
  current.busy = false;
  if (!video.paused && !video.ended) requestAnimationFrame(lookAtFrame);
}

function listen() {
  by("choice").addEventListener("submit", (event) => event.preventDefault());
  by("choice").addEventListener("change", (event) => { if (event.target.id !== "file") look(); });
  by("threshold").addEventListener("input", () => { by("threshold-value").value = by("threshold").value; });
  by("file").addEventListener("change", () => { if (by("file").files.length) take(by("file").files[0]); });
  by("sample").addEventListener("click", async () => take(await (await fetch("sample.png")).blob()));
  for (const name of ["play", "seeked", "loadeddata"]) by("video").addEventListener(name, lookAtFrame);
  by("video").addEventListener("error", () => {
    if (!by("video").hidden) say("This browser cannot play the video; zoo detect can read more kinds.", true);
  });
  for (const name of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      by("drop").classList.toggle("over", name === "dragover");
      if (name === "drop" && event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
    });
  }
}

listen();
loadModels().then(() => document.body.setAttribute("data-ready", ""),
  (error) => say(`The server does not answer: ${error.message}`, true));
