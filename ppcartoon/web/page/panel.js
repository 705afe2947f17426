// The controls beside the cartoon, and the list of files.

import * as backend from "./backend.js";
import * as text from "./text.js";

const $ = (id) => document.getElementById(id);

export class Panel {
  /**
   * @param {Session} session
   * @param {function(boolean): void} onChange called when a setting changed, with whether it changes looks alone.
   */
  constructor(session, onChange) {
    Object.assign(this, {session, onChange});
    this.addStyles();
    for (const [id, name] of [["strength", "strength"], ["colors", "keepColors"]]) {
      $(id).addEventListener("input", () => this.set(name, Number($(id).value), true));
    }
    for (const [id, name, looksAlone] of [["working-size", "workingSize"], ["size", "size"], ["format", "format", true]]) {
      $(id).addEventListener("change", () => this.set(name, parse($(id).value), looksAlone));
    }
  }

  set(name, value, looksAlone = false) {
    this.session.settings[name] = value;
    this.onChange(looksAlone);
  }

  addStyles() {
    this.images = new Map();
    for (const {name} of this.session.styles) {
      const label = document.createElement("label");
      const input = Object.assign(document.createElement("input"), {type: "radio", name: "style", value: name});
      const image = Object.assign(document.createElement("img"), {alt: "", hidden: true});
      const caption = Object.assign(document.createElement("span"), {textContent: name});
      const frame = Object.assign(document.createElement("span"), {className: "thumbnail"});
      frame.append(image);
      label.append(input, frame, caption);
      input.addEventListener("change", () => this.set("style", name));
      this.images.set(name, {image, input});
      $("styles").querySelector(".choices").append(label);
    }
  }

  /** @param {string} view of the stage. */
  render(view) {
    const {session} = this;
    const {settings, item} = session;
    this.renderStyles();
    this.renderLooks();
    $("working-size").value = settings.workingSize;
    $("working-size").options[0].text = automatic(session);
    $("size").value = settings.size;
    $("format").value = settings.format;
    $("format-field").hidden = item.video;
    this.renderActions(view);
  }

  renderStyles() {
    const {session} = this;
    for (const [name, {image, input}] of this.images) {
      input.checked = name === session.settings.style;
      const {cartoon} = session.thumbnail(name);
      image.hidden = !cartoon?.done;
      const source = cartoon?.done ? backend.cartoonURL(cartoon.handle) : "";
      if (source && image.getAttribute("src") !== source) image.src = source;
    }
    const {attribution, license} = session.styles.find(({name}) => name === session.settings.style);
    $("credit").textContent = attribution || license;
  }

  renderLooks() {
    const {strength, keepColors} = this.session.settings;
    for (const [id, share] of [["strength", strength], ["colors", keepColors]]) {
      const percent = `${Math.round(share * 100)} %`;
      $(id).value = share;
      $(id).setAttribute("aria-valuetext", percent);
      $(`${id}-value`).textContent = percent;
    }
  }

  renderActions(view) {
    const {session} = this;
    const {item} = session;
    const target = this.target;
    const made = session.movie && JSON.stringify(item.movie) === JSON.stringify(session.movieOptions(item));
    $("make").hidden = !item.video || (made && !session.movie.error && !session.movie.canceled);
    $("make").textContent = item.trim ? `Make the video (${(item.trim.end - item.trim.start).toFixed(1)} s)` : "Make the video";
    $("download").hidden = !target?.done || (item.video && view !== "movie");
    $("download-facts").textContent = target?.done ? this.facts(target) : "";
    $("download-all").hidden = this.results.length < 2;
  }

  /** The cartoon that is downloaded. */
  get target() {
    return this.session.item.video ? this.session.movie : this.session.cartoon;
  }

  /** The finished cartoons of all files with the current settings. */
  get results() {
    const {session} = this;
    const cartoons = session.items.map((item) => item.cartoon(item.video ? item.movie : session.options(item)));
    return cartoons.filter((cartoon) => cartoon?.done);
  }

  facts({job, bytes}) {
    const {width, height} = job;
    const size = bytes[JSON.stringify(this.look)];
    const format = text.format(this.look.format || job.media_type);
    const facts = [format, text.pixels(width, height), text.megapixels(width, height), size && text.bytes(size)];
    return facts.filter(Boolean).join(" · ");
  }

  /** How the files are to be mixed; a video already is. */
  get look() {
    const {strength, keepColors, format} = this.session.settings;
    return this.session.item.video ? {} : {strength, keepColors, format};
  }
}

/** The value of an option: a number of pixels, or a word. */
const parse = (value) => (/^\d+$/.test(value) ? Number(value) : value);

function automatic({settings, cartoon}) {
  const used = settings.workingSize === "auto" && cartoon?.done && cartoon.job.working_size;
  return used ? `Automatic (${used} px)` : "Automatic";
}
