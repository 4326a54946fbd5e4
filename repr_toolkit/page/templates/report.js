// A strip's slider: draws one of the frames that stand side by side in its picture.
"use strict";
for (const figure of document.querySelectorAll(".strip")) {
  const image = figure.querySelector("img");
  const canvas = figure.querySelector("canvas");
  const slider = figure.querySelector("input");
  const output = figure.querySelector("output");
  const { frames, gap, labels } = figure.dataset;
  const names = JSON.parse(labels);
  const described = canvas.getAttribute("aria-label");
  const show = () => {
    const step = (image.naturalWidth + Number(gap)) / Number(frames);
    const frame = Number(slider.value);
    canvas.width = step - Number(gap);
    canvas.height = image.naturalHeight;
    canvas.style.width = `${canvas.width * Number(canvas.dataset.scale) * 1.4}px`;
    canvas.getContext("2d").drawImage(image, -frame * step, 0);
    output.textContent = names[frame];
    slider.setAttribute("aria-valuetext", names[frame]);
    canvas.setAttribute("aria-label", `${described} Shown: ${names[frame]}.`);
  };
  slider.addEventListener("input", show);
  image.decode().then(() => {
    figure.querySelector(".viewer").hidden = false;
    show();
  });
}
