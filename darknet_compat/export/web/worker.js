// Runs the model with onnxruntime-web: fits a picture as Darknet does, and makes of the outputs what `detect` makes.
import { classesOf, detectionsIn } from "./answers.js";
import { fit } from "./fit.js";

let model, session;

async function open() {
  const ort = await import("./ort/ort.wasm.min.mjs");
  ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
  // Several threads share memory, which browsers allow only where the server says so (COOP, COEP); else one does it.
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
  model = await (await got("model.json")).json();
  const file = await (await got(model.file)).arrayBuffer();
  session = await ort.InferenceSession.create(file, { executionProviders: ["wasm"] });
  model.Tensor = ort.Tensor;
  const { name, task, file: where, thresh, width, height } = model;
  return { name, task, file: where, thresh, width, height };
}

async function got(name) {
  const answer = await fetch(new URL(name, import.meta.url));
  if (!answer.ok) throw new Error(`${name} is not there (${answer.status}); the folder is not whole.`);
  return answer;
}

async function ask({ pixels, width, height, least, most }) {
  const began = performance.now();
  const { planes, placement } = fit(pixels, width, height, model);
  const input = new model.Tensor("float32", planes, [1, model.channels, model.height, model.width]);
  const given = await session.run({ [session.inputNames[0]]: input });
  const outputs = Object.fromEntries(Object.entries(given).map(([name, tensor]) => [name, tensor.data]));
  const answer = model.task === "detect"
    ? { width, height, detections: detectionsIn(outputs, placement, model, least) }
    : classesOf(outputs.classes, model, most);
  return { ...answer, seconds: Math.round(performance.now() - began) / 1000 };
}

// One after another: a session runs one picture at a time.
let last = Promise.resolve();
self.onmessage = ({ data }) => {
  last = last.then(async () => {
    try {
      self.postMessage({ id: data.id, answer: data.open ? await open() : await ask(data) });
    } catch (error) {
      self.postMessage({ id: data.id, error: `The model cannot be run here: ${error.message || error}` });
    }
  });
};
