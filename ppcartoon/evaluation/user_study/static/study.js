// Keys 1 to 9 choose a picture, and an arrow begins with the first or the last; all else is the browser's own.
const pictures = [...document.querySelectorAll("input[name=choice]")];

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || !pictures.length) return;
  const ends = { ArrowRight: pictures[0], ArrowLeft: pictures[pictures.length - 1] };
  const begins = !pictures.includes(document.activeElement) && ends[event.key];
  const picture = begins || pictures[event.key - 1];
  if (!picture) return;
  event.preventDefault();
  picture.checked = true;
  picture.focus();
});

// The back button brings the set that is next, since the first vote on a set stays.
addEventListener("pageshow", (event) => event.persisted && location.reload());
