// The body of a function of `marks`, a selector or nothing: what tests/browser.py's low_contrasts says of a page.
const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const channels = colour => {
  pen.clearRect(0, 0, 1, 1); pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);
  const [red, green, blue, alpha] = pen.getImageData(0, 0, 1, 1).data;
  return [red, green, blue, alpha / 255];
};
const over = (top, share, below) => below.map((value, at) => top[at] * share + value * (1 - share));
const light = rgb => rgb.map(value => value / 255).map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
  .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
const ratio = (one, other) => {
  const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
  return (bright + 0.05) / (dark + 0.05);
};
const probe = document.body.appendChild(document.createElement("i"));
probe.style.background = "Canvas";
const paper = channels(getComputedStyle(probe).backgroundColor).slice(0, 3);
probe.remove();
const ways = element => element ? [...ways(element.parentElement), element] : [];
const behind = element => ways(element).reduce((below, one) => {
  const found = channels(getComputedStyle(one).backgroundColor);
  return over(found.slice(0, 3), found[3], below);
}, paper);
const seen = (element, colour, below) => {
  const found = channels(colour);
  const share = ways(element).reduce((share, one) => share * getComputedStyle(one).opacity, found[3]);
  return over(found.slice(0, 3), share, below);
};
const low = [], [marks] = arguments;
const hold = (element, what, colour, below, least) => {
  const found = ratio(seen(element, colour, below), below);
  if (found < least) low.push(`${what}: ${colour} on ${below.map(Math.round)} is ${found.toFixed(2)}, least ${least}`);
};
for (const element of document.body.querySelectorAll("*")) {
  const style = getComputedStyle(element), words = [...element.childNodes].filter(one => one.nodeType === 3 && one.data.trim());
  if (!element.checkVisibility({ visibilityProperty: true }) || element.disabled || element.closest("script, style")) continue;
  const large = parseFloat(style.fontSize) >= (style.fontWeight >= 700 ? 18.66 : 24);
  if (words.length) hold(element, words[0].data.trim().slice(0, 40), style.color, behind(element), large ? 3 : 4.5);
  if (element.matches("input, select")) hold(element, element.id || element.type, style.borderTopColor, behind(element.parentElement), 3);
  if (marks && element.matches(marks)) hold(element, marks, style.backgroundColor, behind(element.parentElement), 3);
}
return [...new Set(low)];
