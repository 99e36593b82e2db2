
"use strict";
// All films have one rate and one length. The result's own time is the clock, so that its sound
// never stutters; the others are sped up or slowed down a little to stay with it.
const player = document.querySelector("#player");
const fps = Number(player.dataset.fps), count = Number(player.dataset.frames);
const films = [...document.querySelectorAll("video")];
const clock = document.querySelector("#result");
const [play, scrub, speed, loop, sound, at] =
  ["#play", "#scrub", "#speed", "#loop", "#sound", "#at"].map((id) => document.querySelector(id));
const FAR = 0.15;  // seconds apart from which a film jumps instead of hurrying
let playing = false;
let wanted = 0;  // the frame that was last asked for

function frameNow() {
  return Math.max(0, Math.min(count - 1, Math.floor(clock.currentTime * fps + 0.01)));
}

function tell(frame) {
  scrub.value = frame;
  at.textContent = `frame ${frame} of ${count - 1}, ${(frame / fps).toFixed(2)} s`;
}

function show(frame) {
  wanted = Math.max(0, Math.min(count - 1, frame));
  for (const film of films) film.currentTime = (wanted + 0.5) / fps;  // its middle is safe ground
  tell(wanted);
}

function setPlaying(on) {
  playing = on;
  play.textContent = on ? "Pause" : "Play";
  if (!on) {
    for (const film of films) film.pause();
    return;
  }
  if (frameNow() >= count - 1) show(0);
  keepStep();
  Promise.all(films.map(settled))  // they set out together
    .then(() => playing && Promise.all(films.map((film) => film.play())))
    .then(() => requestAnimationFrame(tick), () => { if (playing) stop(); });
}

function settled(film) {
  if (!film.seeking) return Promise.resolve();
  return new Promise((done) => film.addEventListener("seeked", done, { once: true }));
}

function stop() {
  setPlaying(false);
  show(frameNow());
}

function keepStep() {
  const rate = Number(speed.value);
  clock.playbackRate = rate;
  for (const film of films) {
    if (film === clock || film.seeking) continue;
    const behind = clock.currentTime - film.currentTime;
    if (Math.abs(behind) > FAR * Math.max(1, rate) && !clock.seeking) {
      film.currentTime = clock.currentTime;
    }
    film.playbackRate = rate * (1 + Math.max(-0.2, Math.min(0.2, 2 * behind / rate)));
    if (film.paused && playing && !clock.ended && !film.ended) film.play().catch(() => {});
  }
}

function tick() {
  if (!playing) return;
  if (clock.ended) {
    if (!loop.checked) {
      setPlaying(false);
      return show(count - 1);
    }
    setPlaying(true);
    return;
  }
  keepStep();
  if (!clock.seeking) tell(frameNow());
  requestAnimationFrame(tick);
}

function step(by) {
  const from = playing ? frameNow() : wanted;
  setPlaying(false);
  show(from + by);
}

play.onclick = () => (playing ? stop() : setPlaying(true));
document.querySelector("#back").onclick = () => step(-1);
document.querySelector("#on").onclick = () => step(1);
scrub.oninput = () => show(Number(scrub.value));
speed.onchange = keepStep;
if (sound) sound.onchange = () => { clock.muted = !sound.checked; };
for (const button of document.querySelectorAll("button[data-frame]")) {
  button.onclick = () => { setPlaying(false); show(Number(button.dataset.frame)); player.scrollIntoView(); };
}
for (const figure of document.querySelectorAll("figure")) {
  const picture = figure.firstElementChild;
  const grow = () => {
    const [width, height] = [picture.videoWidth || picture.naturalWidth, picture.videoHeight || picture.naturalHeight];
    if (height) figure.style.flexGrow = width / height;  // figures in a row are of one height
  };
  picture.onload = picture.onloadedmetadata = grow;
  grow();
  picture.onclick = () => figure.classList.toggle("large");
}
document.onkeydown = (event) => {
  const pressed = event.key === " " && event.target.matches("button, input[type=checkbox]");
  if (pressed || event.target.matches("select") || event.ctrlKey || event.metaKey || event.altKey) return;
  const keys = {
    " ": () => play.click(), ArrowLeft: () => step(-1), ArrowRight: () => step(1),
    Home: () => show(0), End: () => show(count - 1),
  };
  if (!keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
};
films.forEach((film) => film.addEventListener("loadeddata", () => show(wanted), { once: true }));
tell(0);
