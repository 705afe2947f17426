// <before-after label="...">: two pictures or videos on top of each other, and a divider that shows one on each side.

const PHOTO_SHARE = 50; // percent, at the start
const SWEEP = 900; // milliseconds

/** Its first child is seen left of the divider, its second child right of it; a range input moves the divider. */
class BeforeAfter extends HTMLElement {
  connectedCallback() {
    if (this.range) return;
    const divider = document.createElement("span");
    divider.className = "divider";
    this.range = document.createElement("input");
    Object.assign(this.range, {type: "range", min: 0, max: 100, step: 1, value: PHOTO_SHARE});
    this.range.setAttribute("aria-label", this.getAttribute("label"));
    this.range.addEventListener("input", () => {
      cancelAnimationFrame(this.frame);
      this.update();
    });
    this.append(divider, this.range);
    this.update();
  }

  /** Moves the divider from the right to the middle, so that the cartoon appears. */
  reveal() {
    cancelAnimationFrame(this.frame);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return this.move(PHOTO_SHARE);
    const start = performance.now();
    const step = (now) => {
      const done = Math.min(1, Math.max(0, (now - start) / SWEEP));
      this.move(100 - (100 - PHOTO_SHARE) * (1 - (1 - done) ** 3));
      if (done < 1) this.frame = requestAnimationFrame(step);
    };
    step(start);
  }

  move(share) {
    this.range.value = share;
    this.update();
  }

  update() {
    const share = Number(this.range.value);
    this.style.setProperty("--share", `${share}%`);
    this.range.setAttribute("aria-valuetext", `${share} % photo, ${100 - share} % cartoon`);
  }
}

customElements.define("before-after", BeforeAfter);
