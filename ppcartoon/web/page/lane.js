// Makes the cartoons of a session one after the other.

import * as backend from "./backend.js";

/** One cartoon at a time. A page has two lanes, so that photos do not wait for whole videos. */
export class Lane {
  /**
   * @param {Session} session
   * @param {boolean} whole whether this lane makes whole videos.
   * @param {function(): void} onChange called at each change of a job.
   */
  constructor(session, whole, onChange) {
    Object.assign(this, {session, whole, onChange, running: false, current: null});
  }

  get tasks() {
    return [...this.session.tasks()].filter(({whole}) => whole === this.whole);
  }

  /** Makes all that is to be made; a job that is no longer wanted is stopped. */
  async run() {
    if (this.running) return this.stopUnlessWanted();
    this.running = true;
    for (let task; (task = this.tasks[0]); ) {
      await this.make(task);
      this.onChange();
    }
    this.running = false;
  }

  stopUnlessWanted() {
    if (!this.current || this.current.cartoon.ended) return;
    const {item, cartoon} = this.current;
    const wanted = this.tasks.some((task) => task.item.cartoon(task.options) === cartoon);
    const repeatable = item.file || item.finished.length; // otherwise the file would be gone with its only job
    if (!wanted && (repeatable || !this.session.items.includes(item))) this.cancel();
  }

  /** Ends the cartoon in progress. If it is marked as canceled, it is not begun again. */
  cancel() {
    this.current.abort.abort();
  }

  async make({item, options}) {
    const cartoon = item.add(options);
    const abort = new AbortController();
    this.current = {item, cartoon, abort};
    this.onChange();
    try {
      cartoon.handle ??= await item.begin(options, abort.signal);
      item.source ??= cartoon.handle;
      await this.finish(item, cartoon, abort.signal);
    } catch (error) {
      if (!abort.signal.aborted) cartoon.error = error.message;
      else if (!cartoon.canceled) item.forget(options);
      if (abort.signal.aborted) item.cancel(cartoon);
    } finally {
      this.current = null;
    }
  }

  /** Waits until a job has ended; throws an error if it was stopped here. */
  finish(item, cartoon, signal) {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const stop = backend.follow(cartoon.handle, (job) => {
        cartoon.job = job;
        cartoon.error = job.state === "failed" ? job.error : "";
        cartoon.canceled = job.state === "canceled";
        item.learn(job);
        if (cartoon.ended) resolve();
        this.onChange(); // may stop this job
      });
      signal.addEventListener("abort", () => {
        stop();
        reject(signal.reason);
      });
    });
  }
}
