// Makes cartoons in this browser, without a server: photos go to a worker, one after the other.

import {call} from "./engine.js";
import * as kept from "./kept.js";
import {zip} from "./zip.js";

export const can = {videos: false, camera: true, service: false};

const FORMATS = {jpg: "image/jpeg", png: "image/png", webp: "image/webp"};
const GONE = "This photo is no longer here; choose it again.";
const jobs = new Map(); // by id, in the order in which they were begun
let running = null; // the job in the worker
let pace = null; // seconds for each pixel that the network sees
let count = 0;

/** The style, its license, and the limits of this page. Also makes it work offline, and loads the network. */
export async function about() {
  await install();
  kept.tidy();
  call("load").catch(() => {}); // told when a cartoon is begun
  return (await fetch("site.json")).json();
}

/**
 * Installs the service worker. The headers that it adds allow threads; so a page that came without it, as at the first
 * visit, is loaded once more.
 */
async function install() {
  try {
    await navigator.serviceWorker.register("sw.js");
    if (self.crossOriginIsolated) return sessionStorage.removeItem("reloaded");
    if (sessionStorage.reloaded) return; // some browsers never allow threads
    await navigator.serviceWorker.ready;
  } catch (error) {
    return console.warn("This page does not work offline, and uses one thread:", error);
  }
  sessionStorage.reloaded = "once";
  location.reload();
  await new Promise(() => {});
}

/** Starts a cartoon; takes the options of a photo that the other backend has. */
export async function begin(file, {source, workingSize = "auto", size = 0, style}) {
  const earlier = source && await find(source.id);
  if (source && !earlier) throw new Error(GONE);
  const photo = earlier?.file ?? file;
  const name = earlier?.state.name ?? file.name;
  const natural = earlier?.natural ?? await dimensions(photo);
  const id = `${Date.now()}-${++count}`;
  const state = {
    id, name, style, kind: "photo", state: "waiting", position: 0, progress: null, seconds_left: null, working_size: null,
    width: null, height: null, frames: null, seconds: null, remark: "", error: "", media_type: mediaType(photo),
  };
  add({state, file: photo, natural, workingSize, size});
  makeNext();
  return {id, name};
}

function add(job) {
  jobs.set(job.state.id, {...job, listeners: new Set(), urls: {}, controller: new AbortController()});
}

const mediaType = ({type}) => Object.values(FORMATS).includes(type) ? type : "image/png";

/** Width and height of a photo, upright. */
async function dimensions(file) {
  const {name, type} = file;
  if (type.startsWith("video/")) throw new Error(`${name}: this page makes cartoons of photos, not of videos.`);
  const image = new Image();
  image.src = URL.createObjectURL(file);
  try {
    await image.decode();
    return [image.naturalWidth, image.naturalHeight];
  } catch {
    const isHEIC = /hei[cf]/.test(type) || /\.hei[cf]$/i.test(name);
    throw new Error(isHEIC
      ? `${name}: this browser cannot read HEIC photos; save it as JPEG first.`
      : `${name}: not a photo that this browser can read.`);
  } finally {
    URL.revokeObjectURL(image.src);
  }
}

/** Makes the first waiting cartoon, unless one is being made. */
async function makeNext() {
  const waiting = [...jobs.values()].filter(({state}) => state.state === "waiting");
  waiting.forEach((job, i) => update(job, {position: i + (running ? 1 : 0)}));
  if (running || !waiting.length) return;
  const job = running = waiting[0];
  update(job, {state: "running"});
  try {
    await make(job);
    update(job, {state: "done", progress: 1, seconds_left: 0});
    keep(job).catch((error) => console.warn("A reload will lose this photo:", error));
  } catch (error) {
    if (!job.controller.signal.aborted) update(job, {state: "failed", error: error.message});
  }
  running = null;
  makeNext();
}

async function make(job) {
  const {file, natural, size, workingSize, controller} = job;
  let start, pixels, timer;
  const report = ({pixels: seen, ...known}) => {
    [start, pixels] = [performance.now(), seen];
    update(job, known);
    timer = setInterval(() => estimate(job, start, pixels), 250);
  };
  try {
    await call("load");
    const {remark, ...made} = await call("make", {file, natural, size, workingSize}, {report, signal: controller.signal});
    pace = (performance.now() - start) / 1000 / pixels;
    Object.assign(job, made);
    update(job, {remark});
  } finally {
    clearInterval(timer);
  }
}

/** Says how far a cartoon is, by the time that earlier ones took. */
function estimate(job, start, pixels) {
  if (pace === null) return;
  const passed = (performance.now() - start) / 1000, total = pace * pixels;
  update(job, {progress: Math.min(0.99, passed / total), seconds_left: Math.max(0, total - passed)});
}

function update(job, changes) {
  Object.assign(job.state, changes);
  job.listeners.forEach((listener) => listener({...job.state}));
}

function keep({state, file, natural, size, workingSize, cartoon, photo, preview}) {
  const {width, height, data} = cartoon;
  const known = JSON.stringify({state, natural, size, workingSize, width, height});
  return kept.keep(state.id, {known, file, photo, preview, cartoon: new Blob([data])});
}

/** A job; also one that was finished before the page was reloaded. */
async function find(id) {
  const fields = jobs.has(id) ? null : await kept.load(id).catch(() => null);
  const data = new Uint8ClampedArray(await fields?.cartoon.arrayBuffer() ?? 0);
  if (fields && !jobs.has(id)) {
    const {width, height, ...known} = JSON.parse(fields.known);
    add({...fields, ...known, cartoon: {width, height, data}});
  }
  return jobs.get(id);
}

/** Calls `onChange` with the job at each change until it has ended; returns a function that stops this. */
export function follow(handle, onChange) {
  let stopped = false;
  find(handle.id).then((job) => {
    if (stopped) return;
    job?.listeners.add(onChange);
    onChange(job ? {...job.state} : {...handle, state: "failed", error: GONE});
  });
  return () => {
    stopped = true;
    jobs.get(handle.id)?.listeners.delete(onChange);
  };
}

export async function cancel({id}) {
  kept.forget(id);
  const job = jobs.get(id);
  if (!job) return;
  jobs.delete(id);
  Object.values(job.urls).forEach((url) => URL.revokeObjectURL(url));
  if (["waiting", "running"].includes(job.state.state)) update(job, {state: "cancelled"});
  job.controller.abort();
}

/** The URL of a part of a job: "photo" and "preview" have one size, "file" is as chosen. */
function url({id}, part) {
  const job = jobs.get(id);
  if (!job?.[part]) return "";
  return job.urls[part] ??= URL.createObjectURL(job[part]);
}

export const photoURL = (handle) => url(handle, "photo");
export const cartoonURL = (handle) => url(handle, "preview");
export const sourceURL = (handle) => url(handle, "file");

/** The cartoon in full size: {blob, name}. */
export async function result({id}, {strength = 1, keepColors = 0, format} = {}) {
  const {file, natural, size, cartoon, state} = jobs.get(id) ?? {};
  if (!cartoon) throw new Error(GONE);
  const type = FORMATS[format] ?? state.media_type;
  const blob = await call("finish", {file, natural, size, cartoon, strength, keepColors, type});
  const ending = Object.keys(FORMATS).find((key) => FORMATS[key] === type);
  return {blob, name: `${state.name.replace(/\.[^.]*$/, "")}_cartoon.${ending}`};
}

/** The cartoons of several photos, as a zip: {blob, name}. */
export async function archive(handles, look) {
  const files = [];
  for (const handle of handles) files.push(await result(handle, look));
  return {blob: await zip(files), name: "cartoons.zip"};
}

/** A handle that was kept while the page was away; `follow` tells whether its job still exists. */
export const restore = (saved) => saved;
