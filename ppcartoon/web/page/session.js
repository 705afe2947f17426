// What the visitor works on: settings, files, their cartoons, and which of these are still to be made.

import * as backend from "./backend.js";

const STORED = "ppcartoon";
const THUMBNAIL = 256; // pixels
const VIDEO_NAME = /\.(mp4|m4v|mov|mkv|webm|avi|mpe?g|wmv|flv|3gp|m?ts)$/i;

/** One cartoon: its handle once it was begun, its job as last reported, or the error. */
export class Cartoon {
  constructor(handle = null) {
    this.handle = handle;
    this.job = null;
    this.error = "";
    this.canceled = false;
    this.bytes = {}; // of its files, as far as known, by the look as JSON
  }

  get done() {
    return this.job?.state === "done";
  }

  /** Whether there is nothing left to do for it. */
  get ended() {
    return this.done || this.canceled || this.error !== "";
  }
}

/** A photo or video, and its cartoons by their options. */
export class Item {
  constructor({made = [], ...saved}) {
    Object.assign(this, {video: false, seconds: null, source: null, trim: null, movie: null, frame: 0, view: "video"}, saved);
    this.file = null;
    this.made = new Map(made.map(([key, handle]) => [key, new Cartoon(backend.restore(handle))]));
  }

  static of(file) {
    const item = new Item({name: file.name, video: file.type.startsWith("video/") || VIDEO_NAME.test(file.name)});
    item.file = file;
    return item;
  }

  cartoon(options) {
    return this.made.get(JSON.stringify(options));
  }

  /** The cartoon with these options, begun if it is new. */
  add(options) {
    const key = JSON.stringify(options);
    if (!this.made.has(key)) this.made.set(key, new Cartoon());
    return this.made.get(key);
  }

  forget(options) {
    this.made.delete(JSON.stringify(options));
  }

  /** Begins a cartoon: with the file that an earlier one has, or by sending the file (again, if that one is gone). */
  async begin(options, signal) {
    if (this.source) {
      try {
        return await backend.begin(null, {...options, source: this.source, signal});
      } catch (error) {
        if (!error.gone || !this.file) throw error;
      }
    }
    if (!this.file) throw new Error("This file is no longer here. Choose it again.");
    return backend.begin(this.file, {...options, signal});
  }

  /** Cancels a cartoon; its copy of the file is gone with it. */
  async cancel(cartoon) {
    const {handle} = cartoon;
    if (!handle) return;
    cartoon.handle = null;
    if (this.source === handle) this.source = this.finished[0]?.handle ?? null;
    await backend.cancel(handle).catch(() => {}); // without a reader, the service ends it by itself
  }

  /** Takes over what a job tells about the file: an animation is a video, too, and how long a video is. */
  learn(job) {
    this.video ||= job.kind === "video";
    this.seconds ??= job.source_seconds;
  }

  get finished() {
    return [...this.made.values()].filter(({done, handle}) => done && handle);
  }

  toJSON() {
    const {file, made, ...kept} = this;
    const handles = [...made].filter(([, {handle, error}]) => handle && !error).map(([key, {handle}]) => [key, handle]);
    return {...kept, made: handles};
  }
}

export class Session {
  constructor({styles, limits}) {
    this.styles = styles;
    this.limits = limits;
    this.items = [];
    this.settings = {style: styles[0].name, workingSize: "auto", size: 0, strength: 1, keepColors: 0, format: ""};
    this.load();
  }

  /** The file that is shown. */
  get item() {
    return this.items[this.index];
  }

  /** Replaces all files, and deletes their cartoons. */
  open(files) {
    for (const item of this.items) for (const cartoon of item.made.values()) item.cancel(cartoon);
    this.items = files.map(Item.of);
    this.index = 0;
    this.save();
  }

  /** Options of the cartoon of a photo, or of the frame of a video that is shown before the video is made. */
  options(item) {
    const {style, workingSize, size} = this.settings;
    return {style, workingSize, size, ...(item.video && {frame: item.frame})};
  }

  /** Options of a whole video. */
  movieOptions(item) {
    const {style, workingSize, size, strength, keepColors} = this.settings;
    const {start, end} = item.trim ?? {};
    const part = item.trim ? {start, duration: Math.round((end - start) * 10) / 10} : {};
    return {style, workingSize, size, strength, keepColors, ...part};
  }

  /** The cartoon of the shown file with the current settings; undefined if it is not begun. */
  get cartoon() {
    return this.item.cartoon(this.options(this.item));
  }

  /** The whole video that was asked for last. */
  get movie() {
    return this.item.movie && this.item.cartoon(this.item.movie);
  }

  /** A cartoon that shows a style, and its options if it is still to be made. */
  thumbnail(style) {
    const {workingSize, size} = this.settings;
    const {frame} = this.options(this.item);
    const options = {style, workingSize, size, ...(frame !== undefined && {frame})};
    const small = {...options, size: THUMBNAIL};
    const full = this.item.cartoon(options);
    return full?.done ? {cartoon: full, options} : {cartoon: this.item.cartoon(small), options: small};
  }

  /** What is still to be made, the most urgent first: {item, options, whole} (whether it is a whole video). */
  *tasks() {
    const items = [this.item, ...this.items.filter((item) => item !== this.item)].filter(Boolean);
    const open = ({item, options}) => !item.cartoon(options)?.ended;
    yield* items.map((item) => ({item, options: this.options(item), whole: false})).filter(open);
    yield* items.filter((item) => item.movie).map((item) => ({item, options: item.movie, whole: true})).filter(open);
    if (!this.item || !this.cartoon?.done || this.styles.length === 1) return;
    const thumbnails = this.styles.map(({name}) => this.thumbnail(name).options);
    yield* thumbnails.map((options) => ({item: this.item, options, whole: false})).filter(open);
  }

  /** Keeps handles and settings for a reload of the page. */
  save() {
    const {settings, items, index} = this;
    sessionStorage.setItem(STORED, JSON.stringify({settings, items, index}));
  }

  load() {
    const {settings, items = [], index = 0} = JSON.parse(sessionStorage.getItem(STORED) ?? "{}");
    if (this.styles.some(({name}) => name === settings?.style)) Object.assign(this.settings, settings);
    this.items = items.map((item) => new Item(item)).filter(({source}) => source);
    this.index = Math.min(index, Math.max(0, this.items.length - 1));
  }
}
