// onnxruntime-web in Node.js: node web.mjs PACKAGE MODEL SIDES IMAGES.f32 FOLDER -> FOLDER/NAME.raw and FOLDER/shapes.json
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [folder, model, sides, images, found] = process.argv.slice(2);
const ort = await import(pathToFileURL(`${folder}/dist/ort.node.min.mjs`));
ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(readFileSync(model), { executionProviders: ["wasm"] });
const values = new Float32Array(readFileSync(images).buffer.slice(0));
const outputs = await session.run({ images: new ort.Tensor("float32", values, sides.split(",").map(Number)) });
const shapes = {};
for (const [name, value] of Object.entries(outputs)) {
  shapes[name] = [value.type, value.dims.map(Number)];
  writeFileSync(`${found}/${name}.raw`, new Uint8Array(value.data.buffer, value.data.byteOffset, value.data.byteLength));
}
writeFileSync(`${found}/shapes.json`, JSON.stringify(shapes));
