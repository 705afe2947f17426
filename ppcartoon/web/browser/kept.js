// Keeps photos and their cartoons in the browser's storage while a tab is open, so that nothing is lost by a reload.

const PREFIX = "ppcartoon-tab ";
const tab = (sessionStorage.tab ??= `${Date.now()}-${Math.random()}`); // a reload keeps it
const address = (id) => `kept/${id}`; // only a name

/** Clears what closed tabs have left; open ones hold a lock. */
export async function tidy() {
  if (!self.caches || !navigator.locks) return;
  navigator.locks.request(PREFIX + tab, () => new Promise(() => {}));
  const {held, pending} = await navigator.locks.query();
  const open = new Set([...held, ...pending].map(({name}) => name));
  const closed = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && !open.has(name));
  await Promise.all(closed.map((name) => caches.delete(name)));
}

/**
 * @param {string} id
 * @param {Object<string, Blob|string>} fields
 */
export async function keep(id, fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  await (await self.caches?.open(PREFIX + tab))?.put(address(id), new Response(form));
}

/** What was kept by an id, or null. */
export async function load(id) {
  const response = await (await self.caches?.open(PREFIX + tab))?.match(address(id));
  return response ? Object.fromEntries(await response.formData()) : null;
}

export async function forget(id) {
  await (await self.caches?.open(PREFIX + tab))?.delete(address(id));
}
