"use strict";
const engine = {
  async models() {
    let answer;
    try { answer = await fetch("v1/models"); } catch { throw new Error("The server does not answer."); }
    const found = await answer.json();
    if (!answer.ok) throw new Error(`The server cannot be asked for its models: ${found.error}`);
    return found.models;
  },
  async ask(model, picture) {
    const query = model.task === "detect" ? `?thresh=${LEAST}` : `?top=${MOST}`;
    const address = `v1/models/${encodeURIComponent(model.name)}/${model.task}${query}`;
    let answer;
    try { answer = await fetch(address, { method: "POST", body: picture.blob }); } catch { throw new Error("The server does not answer."); }
    if (answer.status === 429) throw new Error("The server is busy; try again in a second.");
    if (answer.status === 503) throw new Error("The server has too much to do, or ends; try again.");
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.error);
    return found;
  },
  line(model) {
    const query = model.task === "detect" ? "?thresh=0.25" : "?top=5";
    return `curl --data-binary @picture.jpg '${location.origin}${location.pathname}v1/models/${model.name}/${model.task}${query}'`;
  },
};
