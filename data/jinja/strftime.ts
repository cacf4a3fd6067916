/** Python's `strftime` in the C locale. */

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];

/** Formats a local time; a directive that is not known is left as it stands. */
export function strftime(date: Date, format: string): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const year = date.getFullYear();
  const dayOfYear = Math.round(
    (Date.UTC(year, date.getMonth(), date.getDate()) - Date.UTC(year, 0, 1)) / 86_400_000,
  );
  const week = (firstDay: number) =>
    Math.floor((dayOfYear + 7 - (date.getDay() - firstDay + 7) % 7) / 7);
  const directive: Readonly<Record<string, () => string>> = {
    a: () => DAYS[date.getDay()]!.slice(0, 3),
    A: () => DAYS[date.getDay()]!,
    w: () => String(date.getDay()),
    u: () => String(date.getDay() || 7),
    d: () => two(date.getDate()),
    e: () => String(date.getDate()).padStart(2, " "),
    b: () => MONTHS[date.getMonth()]!.slice(0, 3),
    h: () => MONTHS[date.getMonth()]!.slice(0, 3),
    B: () => MONTHS[date.getMonth()]!,
    m: () => two(date.getMonth() + 1),
    y: () => two(year % 100),
    Y: () => String(year),
    H: () => two(date.getHours()),
    I: () => two(date.getHours() % 12 || 12),
    p: () => (date.getHours() < 12 ? "AM" : "PM"),
    M: () => two(date.getMinutes()),
    S: () => two(date.getSeconds()),
    f: () => String(date.getMilliseconds() * 1000).padStart(6, "0"),
    j: () => String(dayOfYear + 1).padStart(3, "0"),
    U: () => two(week(0)),
    W: () => two(week(1)),
    z: () => "",
    Z: () => "",
    D: () => strftime(date, "%m/%d/%y"),
    F: () => strftime(date, "%Y-%m-%d"),
    T: () => strftime(date, "%H:%M:%S"),
    R: () => strftime(date, "%H:%M"),
    c: () => strftime(date, "%a %b %e %H:%M:%S %Y"),
    x: () => strftime(date, "%m/%d/%y"),
    X: () => strftime(date, "%H:%M:%S"),
    n: () => "\n",
    t: () => "\t",
    "%": () => "%",
  };
  return format.replace(
    /%(-?)([a-zA-Z%])/g,
    (found, dash: string, letter: string) => {
      const text = directive[letter]?.() ?? found;
      return dash === "-" ? text.replace(/^[0 ]+(?=.)/, "") : text;
    },
  );
}
