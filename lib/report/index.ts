/** A page people read: {@link buildReport} gathers, {@link renderPage} writes. */
export { buildReport, type ReportOptions, type ReportSubject } from './build';
export type { Report } from './model';
export { renderPage } from './page';
