// The page: hands a photo to the worker, shows the answer. All drawing is by textContent.
const settings = new URLSearchParams(location.search);
const worker = new Worker(`worker.mjs?threads=${settings.get("threads") ?? ""}`, { type: "module" });
const waiting = new Map();
let count = 0;
const byId = (id) => document.getElementById(id);

worker.onmessage = ({ data: { id, error, ...message } }) => {
  if (id === undefined) return ready(error, message);
  const { resolve, reject } = waiting.get(id);
  waiting.delete(id);
  if (error) reject(new Error(error));
  else resolve(message);
};
worker.onerror = () => ready("the worker could not be started");

function ready(error, { labels, threads }) {
  byId("state").textContent = error
    ? `The model could not be loaded: ${error}`
    : `Ready: ${labels} labels, ${threads} thread${threads > 1 ? "s" : ""}.`;
}

/** Judge a File or Blob in the worker; also for the browser's console. */
export function classify(file) {
  return new Promise((resolve, reject) => {
    waiting.set(++count, { resolve, reject });
    worker.postMessage({ id: count, file });
  });
}

async function show(file) {
  byId("state").textContent = `Judging ${file.name}…`;
  byId("answer").hidden = true;
  try {
    const { record, milliseconds } = await classify(file);
    URL.revokeObjectURL(byId("preview").src);
    byId("preview").src = URL.createObjectURL(file);
    byId("verdict").textContent = `${record.verdict}: ${record.label}`;
    byId("rule").textContent = `${record.rule} (${record.probability.toFixed(3)})`;
    const sorted = Object.entries(record.probabilities).sort((a, b) => b[1] - a[1]);
    byId("labels").replaceChildren(...sorted.map(row));
    byId("answer").hidden = false;
    byId("state").textContent = `${file.name}: judged in ${Math.round(milliseconds)} ms.`;
  } catch (error) {
    byId("state").textContent = `${file.name} could not be judged: ${error.message}`;
  }
}

function row([label, probability]) {
  const line = document.createElement("tr");
  line.append(document.createElement("th"), document.createElement("td"));
  line.firstChild.scope = "row";
  line.firstChild.textContent = label;
  line.lastChild.textContent = probability.toFixed(3);
  return line;
}

byId("photo").addEventListener("change", ({ target }) => target.files[0] && show(target.files[0]));
const drop = byId("drop");
for (const name of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", name === "dragover");
    if (name === "drop" && event.dataTransfer.files[0]) show(event.dataTransfer.files[0]);
  });
}
window.faunalens = { classify };
