// The large area: the photo with its cartoon, the video, the work in progress, or an error.

import "./compare.js";
import * as backend from "./backend.js";
import {Picture} from "./picture.js";
import * as text from "./text.js";
import {Duo, Trimmer} from "./video.js";

const $ = (id) => document.getElementById(id);

export class Stage {
  /**
   * @param {Session} session
   * @param {function(): void} onChange called when the stage changed the session.
   */
  constructor(session, onChange) {
    Object.assign(this, {session, onChange});
    this.picture = new Picture($("before"), $("after"), (ratio) => $("compare").style.setProperty("--ratio", ratio));
    this.trimmer = new Trimmer(session.limits.seconds, (part) => this.trim(part));
    this.duo = new Duo();
    for (const radio of $("views").elements) radio.addEventListener("change", () => this.look(radio.value));
    $("use-frame").addEventListener("click", () => this.useFrame());
  }

  /** The view of the shown file: "preview" of a photo; "video", "preview" or "movie" of a video. */
  get view() {
    const {item} = this.session;
    if (!item.video) return "preview";
    return item.view === "movie" && !item.movie ? "preview" : item.view;
  }

  /** Options of the cartoon that this view shows; undefined for "video". */
  get options() {
    const {session} = this;
    return {preview: session.options(session.item), movie: session.item.movie}[this.view];
  }

  /** The cartoon that this view shows; undefined if it is not begun. */
  get cartoon() {
    return this.session.item.cartoon(this.options);
  }

  look(view) {
    this.session.item.view = view;
    this.onChange();
  }

  trim(part) {
    this.session.item.trim = part;
    this.onChange();
  }

  useFrame() {
    const {item} = this.session;
    const {playable, player} = this.trimmer;
    item.frame = playable ? Math.round(player.currentTime * 100) / 100 : (item.trim?.start ?? 0);
    player.pause();
    if (playable) this.picture.showFrame(player);
    this.look("preview");
  }

  render() {
    const {item} = this.session;
    const {view, cartoon} = this;
    $("title").textContent = item.name;
    $("facts").textContent = facts(cartoon?.job);
    this.renderViews(item, view);
    this.renderVideo(item, view);
    const state = view === "video" || cartoon?.done ? "shown" : cartoon?.ended ? "problem" : "working";
    $("sheet").dataset.state = state;
    $("busy").hidden = state !== "working";
    $("problem").hidden = state !== "problem";
    if (state === "working") renderBusy(cartoon);
    if (state === "problem") renderProblem(cartoon);
    $("compare").hidden = view !== "preview";
    if (view === "preview") this.renderPicture(item, cartoon);
    $("compare").toggleAttribute("still", !this.picture.cartoon); // without a divider
    const movie = view === "movie" && state === "shown";
    $("duo").hidden = $("transport").hidden = !movie;
    if (!movie) this.duo.pause();
    else if (this.playing !== cartoon) this.openMovie(item, cartoon);
  }

  renderViews(item, view) {
    $("views").hidden = !item.video;
    for (const radio of $("views").elements) {
      radio.checked = radio.value === view;
      if (radio.value === "movie") radio.disabled = !item.movie;
    }
  }

  renderVideo(item, view) {
    const seen = view === "video";
    this.trimmer.open(item.video ? this.source(item) : "", item.trim);
    if (!seen) this.trimmer.player.pause();
    if (!this.trimmer.playable && item.seconds && !item.trim) this.trimmer.begin(item.seconds);
    $("player").hidden = !(seen && this.trimmer.playable);
    $("unplayable").hidden = !(seen && !this.trimmer.playable);
    $("trim").hidden = !(seen && item.trim);
  }

  renderPicture(item, cartoon) {
    $("before").ariaLabel = `${item.name}: the photo`;
    $("after").ariaLabel = `${item.name}: the cartoon, in the style ${this.session.settings.style}`;
    if (this.pictured !== item) {
      this.pictured = item;
      this.drawn = null;
      this.picture.clear();
      if (item.file && !item.video && !cartoon?.done) this.picture.showFile(item.file);
    }
    const drawn = cartoon?.done ? cartoon : null;
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    if (drawn) this.drawCartoon(drawn);
    else this.picture.hideCartoon();
  }

  async drawCartoon(cartoon) {
    const {handle} = cartoon;
    try {
      const shown = await this.picture.show(backend.photoURL(handle), backend.cartoonURL(handle), this.session.settings);
      if (!shown) return;
      $("compare").removeAttribute("still");
      $("compare").reveal();
    } catch {
      cartoon.job = null;
      cartoon.error = "This cartoon was deleted in the meantime.";
      this.onChange();
    }
  }

  async openMovie(item, cartoon) {
    this.playing = cartoon;
    $("duo").style.setProperty("--ratio", cartoon.job.width / cartoon.job.height);
    try {
      const {blob} = await backend.result(cartoon.handle, {});
      if (this.playing !== cartoon) return;
      cartoon.bytes["{}"] = blob.size;
      this.duo.open(this.source(item), blob, item.movie.start ?? 0);
      $("duo").reveal();
    } catch (error) {
      cartoon.job = null;
      cartoon.error = error.message;
    }
    this.onChange();
  }

  /** Mixes the shown cartoon with the current settings; needs no request. */
  mix() {
    this.picture.mix(this.session.settings);
  }

  /** A URL of the file of an item: the visitor's own, or after a reload that of the backend. */
  source(item) {
    if (!item.file) return item.source ? backend.sourceURL(item.source) : "";
    if (this.sourced !== item) {
      URL.revokeObjectURL(this.url);
      this.sourced = item;
      this.url = URL.createObjectURL(item.file);
    }
    return this.url;
  }
}

function facts(job) {
  if (job?.state !== "done") return "";
  const strokes = job.working_size && `strokes at ${job.working_size} px`;
  return [text.pixels(job.width, job.height), strokes, job.remark].filter(Boolean).join(" · ");
}

function renderBusy(cartoon) {
  const job = cartoon?.job;
  const {progress} = job ?? {};
  $("busy-text").textContent = busyText(cartoon);
  $("progress").hidden = typeof progress !== "number";
  $("progress").value = progress ?? 0;
}

function renderProblem({error, canceled}) {
  const sentence = error || "Canceled.";
  if ($("problem-text").textContent !== sentence) $("problem-text").textContent = sentence; // each is announced once
  $("again").textContent = canceled ? "Draw it" : "Try again";
}

function busyText(cartoon) {
  if (!cartoon) return "Waiting…";
  if (!cartoon.handle) return "Sending…";
  const {job} = cartoon;
  const left = job?.seconds_left ? `, ${text.timeLeft(job.seconds_left)} left` : "";
  if (job?.state !== "running") return waitingText(job?.position ?? 0) + left;
  if (!job.frames) return `Drawing${left || "…"}`;
  return `Frame ${Math.round((job.progress ?? 0) * job.frames)} of ${job.frames}${left}`;
}

function waitingText(position) {
  if (!position) return "Starting…";
  return position === 1 ? "One before yours" : `${position} before yours`;
}
