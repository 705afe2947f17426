// The service worker: keeps the files of this page, so that it works offline, and adds the headers that allow threads.
// The export puts a line before this: const SITE = {version, files}.

const scope = self.registration.scope;
const CACHES = `ppcartoon ${scope} `; // one for each version
const CACHE = CACHES + SITE.version;
const ISOLATION = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
};
const kept = new Set(SITE.files.map((name) => new URL(name, scope).href));
const isLarge = (name) => name.endsWith(".gz"); // kept when first used: each browser needs only some of these

self.addEventListener("install", (event) => event.waitUntil((async () => {
  const cache = await caches.open(CACHE);
  await cache.addAll(SITE.files.filter((name) => !isLarge(name)).map((name) => new Request(name, {cache: "reload"})));
  if (!self.registration.active) await self.skipWaiting(); // else the page in use keeps its version until it is closed
})()));

self.addEventListener("activate", (event) => event.waitUntil((async () => {
  const old = (await caches.keys()).filter((name) => name.startsWith(CACHES) && name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
  await self.clients.claim();
})()));

self.addEventListener("fetch", (event) => {
  const {method, url} = event.request;
  const address = url.replace(/[?#].*$/, "");
  const file = address === scope ? `${scope}index.html` : address;
  if (method === "GET" && kept.has(file)) event.respondWith(answer(file));
});

async function answer(file) {
  const cache = await caches.open(CACHE);
  let response = await cache.match(file);
  if (!response) {
    response = await fetch(file, {cache: "no-cache"});
    if (response.ok) await cache.put(file, response.clone());
  }
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(ISOLATION)) headers.set(name, value);
  return new Response(response.body, {status: response.status, statusText: response.statusText, headers});
}
