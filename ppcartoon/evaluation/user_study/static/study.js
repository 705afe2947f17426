// Keys 1 to 9 choose an image, and the first arrow key chooses the first or last one; the browser handles all other keys.
const choices = [...document.querySelectorAll("input[name=choice]")];

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || !choices.length) return;
  const ends = { ArrowRight: choices[0], ArrowLeft: choices[choices.length - 1] };
  const first = !choices.includes(document.activeElement) && ends[event.key];
  const choice = first || choices[event.key - 1];
  if (!choice) return;
  event.preventDefault();
  choice.checked = true;
  choice.focus();
});

// After the back button, reload the page: it shows the current set, since only the first vote on a set counts.
addEventListener("pageshow", (event) => event.persisted && location.reload());
