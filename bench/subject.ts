/** What a subject of the bench is: a module that times something side by side and reports it. */

export interface Table {
  readonly title: string;
  /** As {@link Report.rows}. */
  readonly rows: readonly (readonly string[])[];
}

export interface Report {
  /** For results/SUBJECT.json, beside the machine's description. */
  readonly results: object;
  /** The table: its head, then a row each. */
  readonly rows: readonly (readonly string[])[];
  /** What follows it, each under a heading of its own. */
  readonly others?: readonly Table[];
  /** What was timed and by which versions, said under the table. */
  readonly about: readonly string[];
}

export interface Subject {
  /** Where the table stands, between the marks `<!-- bench:SUBJECT -->` and `<!-- /bench:SUBJECT -->`; from the repository's root. */
  readonly PAGE: string;
  /** @param dir an empty folder */
  run(dir: string): Promise<Report>;
}
