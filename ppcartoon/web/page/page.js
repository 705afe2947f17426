// The page: takes files, keeps the two views (start and work) up to date, downloads.

import * as backend from "./backend.js";
import {takeFiles} from "./files.js";
import {Lane} from "./lane.js";
import {Panel} from "./panel.js";
import {Session} from "./session.js";
import {Stage} from "./stage.js";
import {Strip} from "./strip.js";

const WORK = "#cartoon"; // the address of the work view; without it, the page shows the start
const PAUSE = 250; // milliseconds without a change of settings after which a new cartoon is begun
const PRIVACY = backend.can.service
  ? "Your files go to the computer that this page comes from, and nowhere else. They are deleted an hour after you last used them."
  : "Everything happens in this browser. Your files never leave this device.";
const $ = (id) => document.getElementById(id);

class Page {
  constructor(about) {
    this.about = about;
    this.session = new Session(about);
    this.stage = new Stage(this.session, () => this.update());
    this.panel = new Panel(this.session, (looksAlone) => this.change(looksAlone));
    this.strip = new Strip(this.session, (index) => this.choose(index));
    this.lanes = [false, true].map((whole) => new Lane(this.session, whole, () => this.update()));
    this.done = new WeakSet();
    this.connect();
    takeFiles((files) => this.open(files));
    this.showStart();
    this.update();
  }

  connect() {
    const actions = {
      "cancel": () => this.cancel(),
      "again": () => this.again(),
      "make": () => this.make(),
      "download": () => this.download($("download"), () => this.result()),
      "download-all": () => this.download($("download-all"), () => backend.archive(this.handles, this.panel.look)),
    };
    for (const [id, action] of Object.entries(actions)) $(id).addEventListener("click", action);
    addEventListener("hashchange", () => this.update());
  }

  showStart() {
    const {version, examples = [], videos, videos_missing: missing} = this.about;
    $("version").textContent = version;
    $("privacy").textContent = PRIVACY;
    const can = {...backend.can, videos};
    for (const part of document.querySelectorAll("[data-if]")) part.hidden = !can[part.dataset.if];
    if (can.service) $("file").accept += ",.heic,.heif,.avif,.jxl"; // which browsers may not know
    if (videos) $("file").accept += ",video/*,.mkv";
    if (missing) $("privacy").textContent += ` ${missing}`;
    $("examples-area").hidden = !examples.length;
    $("examples").append(...examples.map((example) => this.example(example)));
  }

  example({name, url, kind}) {
    const label = `${kind === "video" ? "Video" : "Photo"}: ${name.replace(/\.\w+$/, "")}`;
    const button = Object.assign(document.createElement("button"), {type: "button", ariaLabel: `Example ${label}`});
    const picture = document.createElement(kind === "video" ? "video" : "img");
    if (kind === "video") Object.assign(picture, {muted: true, preload: "metadata", tabIndex: -1, ariaHidden: "true"});
    else Object.assign(picture, {alt: "", loading: "lazy"});
    picture.src = url;
    button.append(picture);
    button.addEventListener("click", () => this.openExample(name, url));
    const entry = document.createElement("li");
    entry.append(button);
    return entry;
  }

  async openExample(name, url) {
    try {
      const blob = await (await fetch(url)).blob();
      this.open([new File([blob], name, {type: blob.type})]);
    } catch {
      this.refuse("This example cannot be loaded.");
    }
  }

  get working() {
    return location.hash === WORK && this.session.items.length > 0;
  }

  /** Begins with new files; those of before are gone. */
  open(files) {
    const {upload_mb: most = Infinity} = this.session.limits;
    const large = files.find(({size}) => size > most * 2 ** 20);
    if (large) return this.refuse(`${large.name} has more than ${most} MB, the limit of this page.`);
    this.refuse("");
    this.session.open(files);
    if (location.hash === WORK) this.update();
    else location.hash = WORK; // calls update
    scrollTo(0, 0);
  }

  refuse(sentence) {
    for (const id of ["start-problem", "action-problem"]) {
      $(id).textContent = sentence;
      $(id).hidden = !sentence;
    }
  }

  choose(index) {
    this.session.index = index;
    this.update();
  }

  /** Called when a setting changed; some need no new cartoon. */
  change(looksAlone) {
    if (looksAlone) this.stage.mix();
    clearTimeout(this.timer);
    this.waiting = !looksAlone;
    this.render();
    this.timer = setTimeout(() => {
      this.waiting = false;
      this.update();
    }, PAUSE);
  }

  make() {
    const {item} = this.session;
    item.movie = this.session.movieOptions(item);
    if (!this.session.movie?.done) item.forget(item.movie);
    item.view = "movie";
    this.update();
  }

  cancel() {
    const cartoon = this.session.item.add(this.stage.options);
    const lane = this.lanes.find(({current}) => current?.cartoon === cartoon);
    cartoon.canceled = true;
    lane?.cancel();
    this.update();
  }

  again() {
    this.session.item.forget(this.stage.options);
    this.update();
  }

  async result() {
    const {target, look} = this.panel;
    const file = await backend.result(target.handle, look);
    target.bytes[JSON.stringify(look)] = file.blob.size;
    return file;
  }

  get handles() {
    return this.panel.results.map(({handle}) => handle);
  }

  /** Saves what `load` brings as a file. */
  async download(button, load) {
    if (button.ariaBusy === "true") return;
    button.ariaBusy = "true";
    this.refuse("");
    try {
      const {blob, name} = await load();
      const link = Object.assign(document.createElement("a"), {href: URL.createObjectURL(blob), download: name});
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
      this.announce(`${name} was downloaded.`);
    } catch (error) {
      this.refuse(error.message);
    }
    button.ariaBusy = "false";
    this.render();
  }

  /** Begins what is to be made, and shows the state of everything. */
  update() {
    this.session.save();
    this.render();
    if (!this.waiting) for (const lane of this.lanes) lane.run();
  }

  render() {
    const focused = document.activeElement;
    const {working, session} = this;
    $("start").hidden = working;
    $("work").hidden = !working;
    $("another").hidden = !working;
    $("resume").hidden = working || !session.items.length;
    document.title = working ? `${session.item.name} – ppcartoon` : "ppcartoon: your photos as cartoons";
    if (session.items.length) {
      this.tell();
      this.stage.render();
      this.panel.render(this.stage.view);
      this.strip.render();
    }
    if (focused !== document.body && !isVisible(focused)) this.focusNext();
  }

  /** Keeps the focus on the page when what had it is gone. */
  focusNext() {
    const next = [$("compare").range, $("duo").range, $("again"), $("title"), $("headline")].find(isVisible);
    next.focus({preventScroll: true});
  }

  /** Announces the cartoons that were finished, each once. */
  tell() {
    for (const item of this.session.items) {
      for (const cartoon of [item.cartoon(this.session.options(item)), item.movie && item.cartoon(item.movie)]) {
        if (!cartoon?.ended || this.done.has(cartoon)) continue;
        this.done.add(cartoon);
        if (cartoon.done) this.announce(`${item.name}: the cartoon is done.`);
        if (cartoon.done && item.video && item.view === "video" && !item.movie) item.view = "preview";
      }
    }
  }

  announce(sentence) {
    $("status").textContent = sentence;
  }
}

function isVisible(element) {
  return element.isConnected && element.getClientRects().length > 0;
}

backend.about().then(
  (about) => new Page(about),
  (error) => {
    $("start-problem").textContent = `${error.message} Reload the page to try again.`;
    $("start-problem").hidden = false;
  },
);
