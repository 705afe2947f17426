// Takes files that are chosen, dropped anywhere, or pasted.

const $ = (id) => document.getElementById(id);

/** Calls `open` with an array of files, never an empty one. */
export function takeFiles(open) {
  const take = (list) => list.length && open([...list]);
  for (const button of document.querySelectorAll("[data-choose]")) button.addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", () => {
    take($("file").files);
    $("file").value = ""; // so that the same file can be chosen again
  });
  document.addEventListener("paste", ({clipboardData}) => take(clipboardData.files));
  takeDropped(take);
}

function takeDropped(take) {
  let depth = 0; // of the elements that the pointer has entered
  const dragging = (change) => {
    depth = change ? depth + change : 0;
    $("drop").hidden = !depth;
  };
  const withFiles = (handle) => (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    handle(event);
  };
  addEventListener("dragenter", withFiles(() => dragging(1)));
  addEventListener("dragleave", withFiles(() => dragging(-1)));
  addEventListener("dragover", withFiles(() => {}));
  addEventListener("drop", withFiles(({dataTransfer}) => {
    dragging(0);
    take(dataTransfer.files);
  }));
}
