// Calls the functions of worker.js. A call can end early: the worker ends, and a new one does what is still wanted.

let worker = null;
let count = 0;
const pending = new Map(); // {message, report, resolve, reject} by the number of the call

/**
 * @param {string} name of the function.
 * @param {object} options its argument.
 * @param {function(object): void} [report] called with what the function tells meanwhile.
 * @param {AbortSignal} [signal] ends the call; it then rejects with the reason of the signal.
 * @returns what the function returns.
 * @throws {Error} with a sentence for the visitor.
 */
export function call(name, options, {report = () => {}, signal} = {}) {
  const id = ++count;
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const message = {id, name, options};
    pending.set(id, {message, report, resolve, reject});
    send(message);
    signal?.addEventListener("abort", () => stop(id, signal.reason));
  });
}

function send(message) {
  worker ??= start();
  worker.postMessage(message);
}

function start() {
  const started = new Worker(new URL("worker.js", import.meta.url), {type: "module"});
  started.onmessage = ({data: {id, progress, value, error}}) => {
    const {report, resolve, reject} = pending.get(id);
    if (progress) return report(progress);
    pending.delete(id);
    if (error) reject(new Error(error));
    else resolve(value);
  };
  started.onerror = () => {
    worker = null;
    for (const {reject} of pending.values()) reject(new Error("A part of this page cannot be loaded; reload the page."));
    pending.clear();
  };
  return started;
}

function stop(id, reason) {
  const call = pending.get(id);
  if (!call) return;
  pending.delete(id);
  call.reject(reason);
  worker.terminate(); // a run of the network cannot be interrupted
  worker = null;
  for (const {message} of pending.values()) send(message);
}
