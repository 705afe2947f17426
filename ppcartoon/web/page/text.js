// Numbers as people read them.

/** "about 5 s", "about 2 min". */
export function timeLeft(seconds) {
  return seconds < 90 ? `about ${Math.max(1, Math.round(seconds))} s` : `about ${Math.round(seconds / 60)} min`;
}

/** A position in a video, such as "1:05.2". */
export function position(seconds) {
  const tenths = Math.round(seconds * 10);
  const rest = (tenths % 600) / 10;
  return `${Math.floor(tenths / 600)}:${rest.toFixed(1).padStart(4, "0")}`;
}

export function bytes(count) {
  return count < 1e6 ? `${Math.max(1, Math.round(count / 1e3))} kB` : `${(count / 1e6).toFixed(1)} MB`;
}

export function pixels(width, height) {
  return `${width} × ${height} px`;
}

export function megapixels(width, height) {
  const count = (width * height) / 1e6;
  return `${count.toFixed(count < 10 ? 1 : 0)} megapixels`;
}

const FORMATS = {jpg: "JPEG", jpeg: "JPEG", png: "PNG", webp: "WebP", mp4: "MP4"};

/** "JPEG" of "image/jpeg" or "jpg". */
export function format(type) {
  return FORMATS[type.split("/").pop()] ?? type;
}
