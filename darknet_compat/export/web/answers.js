// From a network's outputs to detections and classes, as darknet_compat/inference makes them, in float32 as there.
const { fround, max, min } = Math;

// outputs: boxes [D, 4], centre and size as fractions of the input; objectness [D]; classes [D, C].
export function detectionsIn(outputs, placement, model, thresh) {
  const { objectness, classes } = outputs, count = model.names.length, least = fround(thresh), found = [];
  for (let at = 0; at < objectness.length; at++) {
    if (model.tree) {
      if (objectness[at] > least) found.push({ at, number: nodeOf(classes.subarray(at * count, (at + 1) * count), model), score: objectness[at] });
      continue;
    }
    for (let number = 0; number < count; number++) {
      const score = fround(objectness[at] * classes[at * count + number]);
      if (score > least) found.push({ at, number, score });
    }
  }
  for (const one of found) one.box = inPicture(outputs.boxes.subarray(4 * one.at, 4 * one.at + 4), placement);
  found.sort((a, b) => b.score - a.score || a.at - b.at || a.number - b.number);
  return suppressed(found, placement, model).map(one => {
    const said = { class: model.names[one.number], class_id: one.number, score: rounded(one.score, 6), box: one.box.map(side => rounded(side, 2)) };
    if (outputs.uncertainties) said.uncertainty = [...outputs.uncertainties.subarray(4 * one.at, 4 * one.at + 4)].map(value => rounded(value, 6));
    if (model.tree) said.path = wayTo(one.number, classes.subarray(one.at * count, (one.at + 1) * count), model);
    return said;
  });
}

// values: [C]; of a tree's nodes given their parents.
export function classesOf(values, model, most) {
  const { tree, names } = model, probabilities = Float32Array.from(values);
  if (tree) tree.parents.forEach((parent, node) => { if (parent >= 0) probabilities[node] *= probabilities[parent]; });
  const numbers = [...names.keys()].filter(number => !tree || tree.children[number] < 0);
  numbers.sort((a, b) => probabilities[b] - probabilities[a] || a - b);
  const classes = numbers.slice(0, most).map(number => ({ name: names[number], probability: probabilities[number], class_id: number }));
  if (tree) return { classes, path: wayTo(nodeOf(values, model), values, model) };
  return model.are_probabilities ? { classes } : { classes, are_probabilities: false };
}

const rounded = (value, digits) => Number(value.toFixed(digits));

// Corners in pixels of the picture.
function inPicture([x, y, w, h], { imageWidth, imageHeight, width, height, newWidth, newHeight }) {
  const across = unplaced(x, w, width, newWidth), down = unplaced(y, h, height, newHeight);
  return [
    fround((across[0] - across[1] / 2) * imageWidth), fround((down[0] - down[1] / 2) * imageHeight),
    fround((across[0] + across[1] / 2) * imageWidth), fround((down[0] + down[1] / 2) * imageHeight),
  ];
}

const unplaced = (centre, side, network, shown) => [
  fround((centre - (network - shown) / 2 / network) / fround(shown / network)),
  fround(side * fround(network / shown)),
];

// Class by class the best box stays, and no other that overlaps it too much; `found` is sorted, best first.
function suppressed(found, { imageWidth, imageHeight }, { nms, nms_kind: kind, beta_nms: beta }) {
  const exponent = { greedynms: 0.6, diounms: beta }[kind], limit = fround(nms), kept = new Map();
  const unit = ([x1, y1, x2, y2]) => (exponent === undefined ? [x1, y1, x2, y2] : [x1 / imageWidth, y1 / imageHeight, x2 / imageWidth, y2 / imageHeight]);
  return found.filter(one => {
    const box = unit(one.box), others = kept.get(one.number) ?? [];
    if (others.some(other => nearness(other, box, exponent) > limit)) return false;
    kept.set(one.number, [...others, box]);
    return true;
  });
}

function nearness(a, b, exponent) {
  const shared = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0);
  const union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared;
  let value = union === 0 ? 0 : shared / union;
  if (exponent !== undefined) {
    const x = (a[0] + a[2] - b[0] - b[2]) / 2, y = (a[1] + a[3] - b[1] - b[3]) / 2;
    const width = max(a[2], b[2]) - min(a[0], b[0]), height = max(a[3], b[3]) - min(a[1], b[1]);
    const diagonal = width * width + height * height;
    value -= (diagonal === 0 ? 0 : (x * x + y * y) / diagonal) ** exponent;
  }
  return fround(value);
}

// The node at which the way down from the roots stops: where what has been sure so far is not above hier_thresh.
function nodeOf(values, { tree, hier_thresh: least }) {
  let node = -1, group = 0, absolute = 1, running = 1;
  for (;;) {
    const start = tree.offsets[group];
    let best = start;
    for (let one = start + 1; one < start + tree.sizes[group]; one++) if (values[one] > values[best]) best = one;
    absolute = fround(absolute * values[best]);
    running = fround(running * absolute); // as the original multiplies
    const sure = running > fround(least);
    if (sure || node < 0) node = best;
    if (!sure || tree.children[best] < 0) return node;
    group = tree.children[best];
  }
}

function wayTo(node, values, { tree, names }) {
  const nodes = [];
  for (let one = node; one >= 0; one = tree.parents[one]) nodes.unshift(one);
  let product = 1;
  return nodes.map(one => ({ name: names[one], probability: rounded((product = fround(product * values[one])), 6) }));
}
