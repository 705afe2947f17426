// The row of thumbnails of several files.

import * as backend from "./backend.js";

const $ = (id) => document.getElementById(id);

export class Strip {
  /**
   * @param {Session} session
   * @param {function(number): void} onChoose called with the index of a file.
   */
  constructor(session, onChoose) {
    Object.assign(this, {session, onChoose, buttons: new Map()});
  }

  render() {
    const {items, item: shown} = this.session;
    $("strip").hidden = items.length < 2;
    if (items.length !== this.buttons.size || !items.every((item) => this.buttons.has(item))) this.build(items);
    for (const [item, button] of this.buttons) this.renderItem(item, button, item === shown);
  }

  build(items) {
    this.buttons = new Map(items.map((item, index) => [item, this.button(index)]));
    $("strip").replaceChildren(
      ...[...this.buttons.values()].map((button) => {
        const entry = document.createElement("li");
        entry.append(button);
        return entry;
      }),
    );
  }

  button(index) {
    const button = Object.assign(document.createElement("button"), {type: "button"});
    button.append(Object.assign(document.createElement("img"), {alt: "", hidden: true}));
    button.addEventListener("click", () => this.onChoose(index));
    return button;
  }

  renderItem(item, button, shown) {
    const cartoon = item.cartoon(this.session.options(item));
    const state = stateOf(cartoon);
    const image = button.firstChild;
    const source = cartoon?.done ? backend.cartoonURL(cartoon.handle) : "";
    image.hidden = !source;
    if (source && image.getAttribute("src") !== source) image.src = source;
    button.dataset.state = state;
    button.ariaLabel = `${item.name}: ${state}`;
    button.ariaCurrent = shown ? "true" : null;
  }
}

function stateOf(cartoon) {
  if (!cartoon) return "waiting";
  if (cartoon.error) return "failed";
  if (cartoon.canceled) return "canceled";
  return cartoon.done ? "done" : "in progress";
}
