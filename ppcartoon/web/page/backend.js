// Makes cartoons with the service that this page comes from. A page without a server has another file of this name.

export const can = {videos: true, camera: false, service: true};

/** The styles, limits and examples: the contents of page.json. */
export async function about() {
  return (await answer(fetch("page.json"))).json();
}

/**
 * Starts a cartoon.
 *
 * @param {?Blob} file a photo or video; null to use that of an earlier cartoon again.
 * @param {object} options
 * @param {string} options.style
 * @param {"auto"|number} options.workingSize pixels of the longer side as the network sees it; 0: full resolution.
 * @param {number} options.size pixels of the longer side of the result; 0: that of the file.
 * @param {number} [options.frame] seconds: of a video, make this frame only.
 * @param {number} [options.start] seconds, of a video.
 * @param {number} [options.duration] seconds, of a video.
 * @param {number} [options.strength] in [0, 1]; of a video, where it is part of the file.
 * @param {number} [options.keepColors] in [0, 1]; likewise.
 * @param {Handle} [options.source] the earlier cartoon.
 * @param {AbortSignal} [options.signal] stops the upload.
 * @returns {Promise<Handle>} {id, name}
 * @throws {Error} with a sentence for the visitor; `gone` is true if the earlier cartoon does not exist any more.
 */
export async function begin(file, {source, signal, workingSize, keepColors, ...options}) {
  const query = parameters({
    ...options,
    working_size: workingSize,
    keep_colors: keepColors,
    source: source?.id,
    name: source?.name ?? file.name,
    watched: true,
  });
  const job = await (await answer(fetch(`v1/jobs?${query}`, {method: "POST", body: file, signal}))).json();
  return {id: job.id, name: job.name};
}

/**
 * Calls `onChange` with the job at each change until it has ended.
 *
 * @returns {function(): void} stops this.
 */
export function follow(handle, onChange) {
  const events = new EventSource(`${url(handle)}/events`);
  events.onmessage = ({data}) => {
    const job = JSON.parse(data);
    if (["done", "failed", "canceled"].includes(job.state)) events.close();
    onChange({...job, error: sentence(job.error)});
  };
  events.onerror = async () => {
    if (events.readyState !== EventSource.CLOSED) return; // the browser connects again by itself
    const error = await answer(fetch(url(handle))).then(() => "The connection was lost.", ({message}) => message);
    onChange({...handle, state: "failed", error});
  };
  return () => events.close();
}

export async function cancel(handle) {
  await fetch(url(handle), {method: "DELETE", keepalive: true});
}

export const photoURL = (handle) => `${url(handle)}/photo`;
export const cartoonURL = (handle) => `${url(handle)}/cartoon`;
export const sourceURL = (handle) => `${url(handle)}/source`;

/** The cartoon in full size: {blob, name}. */
export async function result(handle, look) {
  return download(`${url(handle)}/result?${parameters(lookParameters(look))}`);
}

/** The cartoons of several files, as a zip: {blob, name}. */
export async function archive(handles, look) {
  const query = parameters(lookParameters(look));
  for (const {id} of handles) query.append("job", id);
  return download(`v1/archive?${query}`);
}

/** A handle that was kept while the page was away; `follow` tells whether its job still exists. */
export const restore = (saved) => saved;

const url = ({id}) => `v1/jobs/${encodeURIComponent(id)}`;

const lookParameters = ({strength, keepColors, format}) => ({strength, keep_colors: keepColors, format});

function parameters(values) {
  return new URLSearchParams(Object.entries(values).filter(([, value]) => ![undefined, null, ""].includes(value)));
}

/** The response of a request; throws an error with the sentence that the service gives. */
async function answer(request) {
  const response = await request.catch((error) => {
    throw error.name === "AbortError" ? error : new Error("The service cannot be reached.");
  });
  if (response.ok) return response;
  const {error} = await response.json().catch(() => ({}));
  const message = sentence(error ?? `the service answered with an error (${response.status})`);
  throw Object.assign(new Error(message), {gone: response.status === 404});
}

/** A message of the service, as a sentence. */
const sentence = (message) => message.replace(/^\p{Ll}/u, (first) => first.toUpperCase()).replace(/[^.]$/, "$&.");

async function download(address) {
  const response = await answer(fetch(address));
  const disposition = response.headers.get("Content-Disposition") ?? "";
  const encoded = /filename\*=(?:utf-8|UTF-8)''([^;]+)/.exec(disposition)?.[1];
  const name = encoded ? decodeURIComponent(encoded) : /filename="?([^";]+)/.exec(disposition)?.[1];
  return {blob: await response.blob(), name: name ?? "cartoon"};
}
