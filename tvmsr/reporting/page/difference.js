// The error map of two pictures.
const RAMP = [[11, 11, 24], [58, 20, 120], [160, 42, 107], [240, 124, 60], [252, 232, 160]];

function ramp(share) {
  const place = Math.min(share, 1) * (RAMP.length - 1), low = Math.min(Math.floor(place), RAMP.length - 2);
  return RAMP[low].map((from, i) => Math.round(from + (RAMP[low + 1][i] - from) * (place - low)));
}

function pixels(source, width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width; canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(source, 0, 0);
  return context.getImageData(0, 0, width, height).data;
}

// errors: of each pixel the largest of its channels; most: of all; mean and psnr: over all channels, psnr null for none.
function difference(a, b) {
  const errors = new Uint8Array(a.length / 4);
  let most = 0, sum = 0, squares = 0;
  for (let i = 0; i < errors.length; i++) {
    for (let c = 4 * i; c < 4 * i + 3; c++) {
      const error = Math.abs(a[c] - b[c]);
      errors[i] = Math.max(errors[i], error); sum += error; squares += error * error;
    }
    most = Math.max(most, errors[i]);
  }
  const count = 3 * errors.length, psnr = squares ? 10 * Math.log10(255 * 255 * count / squares) : null;
  return { errors, most, mean: sum / count, psnr };
}

function drawMap(canvas, errors, width, height, full) {
  canvas.width = width; canvas.height = height;
  const context = canvas.getContext("2d"), map = context.createImageData(width, height);
  errors.forEach((error, i) => map.data.set([...ramp(error / full), 255], 4 * i));
  context.putImageData(map, 0, 0);
}

// What belongs to a picture that was left in the meantime is dropped: decoding takes its time.
let turn = 0;
async function compare(left, right, width, height, done) {
  const own = ++turn;
  await Promise.all([left.decode(), right.decode()]);
  if (own !== turn) return;
  const found = difference(pixels(left, width, height), pixels(right, width, height));
  const full = Number(at("gain").value) || Math.max(found.most, 1);
  drawMap(at("error"), found.errors, width, height, full);
  text("most", `${full} of 255`);
  text("difference", found.most === 0 ? "In this crop both are the same, byte for byte." :
    `In this crop they differ by ${found.mean.toFixed(2)} of 255 in the mean, by ${found.most} at most: ${number(found.psnr, 2)} dB between them.`);
  done();
}
