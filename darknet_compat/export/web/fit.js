// A picture as the network reads it, by the original's own resize (darknet_compat/vision/resize.py says it in Python):
// bilinear, corner on corner, each step rounded to float32.
const { fround } = Math;
const FRACTIONS = Float32Array.from({ length: 256 }, (_, value) => value / 255);

// pixels: RGBA bytes, row by row. Gives planes [channels, height, width] and where the picture lies in them.
export function fit(pixels, imageWidth, imageHeight, { width, height, channels, resize }) {
  let [newWidth, newHeight] = [width, height];
  if (resize === "letterbox") {
    if (fround(width / imageWidth) < fround(height / imageHeight)) newHeight = Math.floor((imageHeight * width) / imageWidth);
    else newWidth = Math.floor((imageWidth * height) / imageHeight);
  }
  const planes = new Float32Array(channels * width * height).fill(0.5);
  const left = (width - newWidth) >> 1, top = (height - newHeight) >> 1;
  if (newWidth && newHeight) {
    const rows = rowsOf(pixels, imageWidth, channels, aligned(imageWidth, newWidth, true));
    const { first, second, near, far } = aligned(imageHeight, newHeight, false);
    for (let y = 0; y < newHeight; y++) {
      const upper = rows(first[y]), lower = rows(second[y]);
      for (let c = 0; c < channels; c++) {
        const to = (c * height + top + y) * width + left, from = c * newWidth;
        for (let x = 0; x < newWidth; x++) planes[to + x] = fround(upper[from + x] * near[y]) + fround(lower[from + x] * far[y]);
      }
    }
  }
  return { planes, placement: { imageWidth, imageHeight, width, height, newWidth: Math.max(newWidth, 1), newHeight: Math.max(newHeight, 1) } };
}

// Along one side: the two pixels that each output pixel is made of, and their weights.
function aligned(size, newSize, across) {
  const first = new Int32Array(newSize), second = new Int32Array(newSize), near = new Float32Array(newSize), far = new Float32Array(newSize);
  const scale = newSize > 1 ? fround((size - 1) / (newSize - 1)) : 0;
  for (let i = 0; i < newSize; i++) {
    const at = newSize > 1 ? fround(i * scale) : size - 1;
    const whole = Math.trunc(at);
    first[i] = Math.min(whole, size - 1); second[i] = Math.min(whole + 1, size - 1);
    far[i] = fround(at - whole); near[i] = 1 - far[i];
  }
  // The original copies the last column instead of weighing it, and has no such rule for the last row.
  if (across) { first[newSize - 1] = size - 1; near[newSize - 1] = 1; }
  far[newSize - 1] = 0;
  return { first, second, near, far };
}

// Rows of the picture at the new width, [channels, newWidth]; the last two are kept, which is what the rows below need.
function rowsOf(pixels, width, channels, { first, second, near, far }) {
  const kept = [{ y: -1 }, { y: -1 }], count = first.length;
  let oldest = 0;
  const grey = i => (pixels[i] * 9798 + pixels[i + 1] * 19235 + pixels[i + 2] * 3735 + 16384) >> 15;
  return y => {
    const found = kept.find(one => one.y === y);
    if (found) return found.values;
    const row = kept[oldest];
    oldest = 1 - oldest;
    row.y = y; row.values ??= new Float32Array(channels * count);
    for (let c = 0; c < channels; c++) {
      for (let x = 0; x < count; x++) {
        const i = 4 * (y * width + first[x]), j = 4 * (y * width + second[x]);
        const [a, b] = channels === 1 ? [grey(i), grey(j)] : [pixels[i + c], pixels[j + c]];
        row.values[c * count + x] = fround(FRACTIONS[a] * near[x]) + fround(FRACTIONS[b] * far[x]);
      }
    }
    return row.values;
  };
}
