/** What `ft eval --out` writes into eval.json. Everything that its table, eval.md and a report show is in here. */
export interface Evaluation {
  readonly version: 1;
  /** ISO 8601 */
  readonly created: string;
  /** false while rows are still missing: the same command goes on from there */
  readonly finished: boolean;
  /** what the predictions depend on; they are computed again only where it is another */
  readonly fingerprint: Fingerprint;
  /** what is compared; the first is what the others are measured against, with a model: "base" */
  readonly subjects: readonly Subject[];
  /** rows that were evaluated */
  readonly rows: number;
  /** rows of the data that were left out, since they are longer than maxLength */
  readonly leftOut: number;
  readonly resampling: Resampling;
  /** one for each row of the table, in its order */
  readonly measures: readonly Measure[];
  /** the general-ability probe of --general */
  readonly general?: GeneralProbe;
  /** rows where the last subject did worst by `by`, worst first */
  readonly worst: { readonly by: string; readonly rows: readonly EvaluatedRow[] };
  /** the first rows, every subject's answer side by side */
  readonly samples: readonly EvaluatedRow[];
}

/** By name, as text. */
export type Fingerprint = Readonly<Record<string, string>>;

/** Something that answers: the base, an adapter over it, or a file of predictions. */
export interface Subject {
  /** short and unique, also part of the name of its file of predictions */
  readonly name: string;
  /** the adapter's folder or the file, as given; absent for the base */
  readonly path?: string;
  /** file of its rows, beside eval.json; absent for files of predictions */
  readonly predictions?: string;
}

/** How intervals and significance were made. */
export interface Resampling {
  /** share of resampled scores inside an interval: 0.95 */
  readonly confidence: number;
  /** resampled data sets */
  readonly samples: number;
  readonly seed: number;
}

/** One row of the table. */
export interface Measure {
  /** "bleu", "rougeL", "perplexity" */
  readonly name: string;
  readonly better: "higher" | "lower";
  /** digits after the point that a table shows */
  readonly digits: number;
  /** what the scores were computed with, as the Python library writes it, where it has such a thing */
  readonly signature?: string;
  /** in the order of `subjects` */
  readonly scores: readonly Score[];
}

export interface Score {
  readonly subject: string;
  readonly value: number;
  /** bounds of the bootstrap interval of the value */
  readonly low: number;
  readonly high: number;
  /** against the first subject; absent for the first */
  readonly against?: {
    readonly difference: number;
    /** two-sided, of paired bootstrap resampling: how often chance alone makes so large a difference */
    readonly p: number;
  };
}

/** Loss on text that the fine-tuning was not about: what rises was forgotten. */
export interface GeneralProbe {
  readonly file: string;
  /** documents, or rows of a chat */
  readonly documents: number;
  readonly scores: readonly GeneralScore[];
}

export interface GeneralScore {
  readonly subject: string;
  /** nats a token */
  readonly loss: number;
  readonly perplexity: number;
  /** absent for chats, whose prompts are not counted */
  readonly bitsPerByte?: number;
  /** tokens that were predicted */
  readonly tokens: number;
  /** loss less that of the first subject: above 0, something was forgotten; absent for the first */
  readonly forgetting?: number;
}

/** A row with what every subject made of it, in the order of `subjects`. */
export interface EvaluatedRow {
  /** from 0, among the rows that were evaluated */
  readonly index: number;
  /** as it stands in the data: line of a JSONL or text file, place in an array, from 1 */
  readonly row: number;
  /** absent for files of predictions */
  readonly prompt?: readonly { readonly role: string; readonly content: string }[];
  readonly references: readonly string[];
  readonly answers: readonly {
    readonly subject: string;
    /** absent where only losses were asked for */
    readonly prediction?: string;
    /** by the name of the measure, of this row alone */
    readonly scores: Readonly<Record<string, number>>;
  }[];
}
