// Play the videos that are in view. Without this script, or where motion is unwelcome, each has its controls.
(() => {
  const videos = [...document.querySelectorAll("video")];
  const button = document.querySelector("#pause");
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const inView = new Set();
  let paused = calm.matches;

  const play = (video) => video.play().catch((error) => {
    if (error.name === "NotAllowedError") video.controls = true;
  });
  const show = () => {
    for (const video of videos) {
      video.controls = paused;
      if (inView.has(video) && !paused) play(video);
      else video.pause();
    }
    button.textContent = paused ? "Play videos" : "Pause videos";
  };
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) inView.add(entry.target);
      else inView.delete(entry.target);
    }
    show();
  });
  for (const video of videos) observer.observe(video);
  button.addEventListener("click", () => { paused = !paused; show(); });
  calm.addEventListener("change", () => { paused = calm.matches; show(); });
  button.hidden = videos.length === 0;
  show();
})();
