// Figures and times as people read them.

const digits = (value, most) => value.toLocaleString("en", {maximumFractionDigits: most});

/** 0.034, 3.4, 34, 3,400, 34 k, 3.4 M */
export function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e9) return digits(value / 1e9, 1) + " G";
  if (size >= 1e6) return digits(value / 1e6, 1) + " M";
  if (size >= 1e4) return digits(value / 1e3, size < 1e5 ? 1 : 0) + " k";
  return digits(value, size >= 100 || Number.isInteger(value) ? 0 : size >= 1 ? 1 : 2);
}

export function milliseconds(ms) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return "–";
  if (ms >= 60000) return duration(ms / 1000);
  if (ms >= 1000) return digits(ms / 1000, 1) + " s";
  return (ms < 0.01 && ms > 0 ? "< 0.01" : digits(ms, ms >= 10 ? 0 : ms >= 1 ? 1 : 2)) + " ms";
}

export function bytes(value) {
  if (value === null || value === undefined) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; ++unit; }
  return digits(value, value >= 10 || unit === 0 ? 0 : 1) + " " + units[unit];
}

/** Whole seconds: "7 s", "3 min 20 s", "2 h 5 min", "3 d 4 h" */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "–";
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return s + " s";
  if (s < 3600) return Math.floor(s / 60) + " min" + (s < 600 && s % 60 ? " " + (s % 60) + " s" : "");
  if (s < 86400) return Math.floor(s / 3600) + " h" + (s % 3600 >= 60 ? " " + Math.floor((s % 3600) / 60) + " min" : "");
  return Math.floor(s / 86400) + " d" + (s % 86400 >= 3600 ? " " + Math.floor((s % 86400) / 3600) + " h" : "");
}

const pad = (value) => String(value).padStart(2, "0");
/** "03:12:40", with the day before it if it is not today. Local time. */
export function clock(date) {
  const time = `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
  if (date.toDateString() === new Date().toDateString()) return time;
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${time}`;
}

export const percent = (part, all) =>
  all > 0 ? (part > 0 && part < all / 100 ? "< 1" : String(part < all ? Math.min(99, Math.round(100 * part / all)) : 100)) + " %" : "–";
export const plural = (count, one, many = one + "s") => `${number(count)} ${count === 1 ? one : many}`;
