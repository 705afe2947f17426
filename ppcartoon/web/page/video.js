// The player of a video with the part to be drawn, and the comparison of a video with its cartoon.

import {position} from "./text.js";

const SHORTEST = 0.5; // seconds
const DRIFT = 0.15; // seconds that the two videos of a comparison may be apart
const $ = (id) => document.getElementById(id);

/** Plays the visitor's video; two sliders choose the part that is drawn. */
export class Trimmer {
  /**
   * @param {number} longest seconds of the part.
   * @param {function({start: number, end: number}): void} onChange called with the part, in seconds.
   */
  constructor(longest, onChange) {
    Object.assign(this, {longest, onChange, player: $("player"), from: $("from"), to: $("to")});
    for (const slider of [this.from, this.to]) {
      slider.addEventListener("input", () => this.move(slider));
    }
    this.player.addEventListener("loadedmetadata", () => this.begin(this.player.duration));
    this.player.addEventListener("error", () => this.player.classList.toggle("failed", this.player.hasAttribute("src")));
  }

  /** Shows a video; `part` is the part chosen before, or null. */
  open(url, part) {
    if (this.url === url) return;
    this.url = url;
    this.part = part;
    this.player.classList.remove("failed");
    if (url) this.player.src = url;
    else this.player.removeAttribute("src");
    this.player.load();
  }

  get playable() {
    return !this.player.classList.contains("failed");
  }

  /** Sets up the sliders for a video of some seconds. */
  begin(seconds) {
    this.duration = Math.floor(seconds * 10) / 10;
    if (!Number.isFinite(this.duration)) return;
    for (const slider of [this.from, this.to]) slider.max = this.duration;
    this.set(this.part ?? {start: 0, end: Math.min(this.duration, this.longest)});
  }

  /** Moves the other slider along where the part would be too short or too long. */
  move(slider) {
    const value = Number(slider.value);
    let {start, end} = this.part;
    if (slider === this.from) {
      start = Math.max(0, Math.min(value, this.duration - SHORTEST));
      end = Math.min(Math.max(end, start + SHORTEST), start + this.longest, this.duration);
    } else {
      end = Math.min(this.duration, Math.max(value, SHORTEST));
      start = Math.max(Math.min(start, end - SHORTEST), end - this.longest, 0);
    }
    this.set({start, end});
    this.player.pause();
    this.player.currentTime = slider === this.from ? start : end;
  }

  set(part) {
    const [start, end] = [part.start, part.end].map((seconds) => Math.round(seconds * 10) / 10);
    this.part = {start, end};
    this.from.value = start;
    this.to.value = end;
    this.from.setAttribute("aria-valuetext", position(start));
    this.to.setAttribute("aria-valuetext", position(end));
    $("trim").style.setProperty("--from", start / this.duration);
    $("trim").style.setProperty("--to", end / this.duration);
    $("part").textContent = `${position(start)} to ${position(end)} (${(end - start).toFixed(1)} s)`;
    this.onChange(this.part);
  }
}

/** Plays a video and its cartoon in step. */
export class Duo {
  constructor() {
    Object.assign(this, {original: $("original"), movie: $("movie"), button: $("play"), seek: $("seek"), start: 0});
    this.button.addEventListener("click", () => this.toggle());
    this.seek.addEventListener("input", () => this.moveTo(Number(this.seek.value)));
    for (const name of ["play", "pause", "ended"]) this.movie.addEventListener(name, () => this.update());
    for (const name of ["timeupdate", "seeked", "loadedmetadata"]) this.movie.addEventListener(name, () => this.follow());
    this.original.addEventListener("error", () => $("duo").classList.add("alone"));
    this.original.addEventListener("loadedmetadata", () => this.moveTo(this.movie.currentTime));
  }

  /**
   * Shows a video beside its cartoon.
   *
   * @param {string} original URL
   * @param {Blob} movie the cartoon.
   * @param {number} start seconds of the original where the cartoon begins.
   */
  open(original, movie, start) {
    this.start = start;
    $("duo").classList.remove("alone");
    this.original.src = original;
    URL.revokeObjectURL(this.movie.src);
    this.movie.src = URL.createObjectURL(movie);
  }

  pause() {
    this.movie.pause();
    this.original.pause();
  }

  toggle() {
    if (this.movie.paused) this.movie.play();
    else this.movie.pause();
  }

  moveTo(seconds) {
    this.movie.currentTime = seconds;
    this.original.currentTime = this.start + seconds;
  }

  update() {
    const {paused} = this.movie;
    this.button.textContent = paused ? "Play" : "Pause";
    if (paused) this.original.pause();
    else this.original.play().catch(() => {}); // shown alone, see "error"
    this.follow();
  }

  /** Brings the original to the time of the cartoon, and shows this time. */
  follow() {
    const {currentTime, duration} = this.movie;
    const target = this.start + currentTime;
    if (Math.abs(this.original.currentTime - target) > (this.movie.paused ? 0.01 : DRIFT)) this.original.currentTime = target;
    if (!Number.isFinite(duration)) return;
    this.seek.max = duration;
    this.seek.value = currentTime;
    this.seek.setAttribute("aria-valuetext", `${position(currentTime)} of ${position(duration)}`);
    $("time").textContent = `${position(currentTime)} / ${position(duration)}`;
  }
}
