"use strict";
// Asks the model beside this page, in a thread of the browser's own (worker.js), so that the page stays awake.
const worker = new Worker("worker.js", { type: "module" }), waiting = new Map();
let asked = 0;
worker.onmessage = ({ data }) => {
  const { done, failed } = waiting.get(data.id);
  waiting.delete(data.id);
  if (data.error) failed(new Error(data.error)); else done(data.answer);
};
worker.onerror = event => {
  event.preventDefault();
  const why = location.protocol === "file:"
    ? "Browsers run models only from a web server: python3 -m http.server in this folder, then http://localhost:8000/."
    : `The model cannot be run here: ${event.message || "worker.js is not there"}.`;
  for (const { failed } of waiting.values()) failed(new Error(why));
  waiting.clear();
};
const send = (what, parts = []) => new Promise((done, failed) => {
  waiting.set(++asked, { done, failed });
  worker.postMessage({ id: asked, ...what }, parts);
});

const engine = {
  async models() { return [await send({ open: true })]; },
  async ask(model, { bitmap }) {
    if (bitmap.width * bitmap.height > 1e8) throw new Error(`${bitmap.width} x ${bitmap.height} pixels are more than the 100 million that are read.`);
    const canvas = document.createElement("canvas");
    canvas.width = bitmap.width; canvas.height = bitmap.height;
    let pixels;
    try {
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(bitmap, 0, 0);
      pixels = context.getImageData(0, 0, bitmap.width, bitmap.height).data;
    } catch { throw new Error("The picture is too large for this browser."); }
    return send({ pixels, width: bitmap.width, height: bitmap.height, least: LEAST, most: MOST }, [pixels.buffer]);
  },
  line: model => `darknet-compat ${model.task} ${model.file} picture.jpg`,
};
