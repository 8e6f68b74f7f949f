/** Long tables for pandas and its like, written group by group; for worker threads, since compressing takes its time. */
import type { ByteWriter, ParquetWriter } from 'hyparquet-writer' with { 'resolution-mode': 'import' };
import { TracinError } from './errors';
import type { Served } from './worker-thread';

export type ColumnType = 'STRING' | 'INT32' | 'FLOAT' | 'DOUBLE' | 'BOOLEAN';

/** Column by column, all of one length; columns that are `nullable` may hold null. */
export type Columns = Readonly<Record<string, readonly unknown[]>>;

export class ParquetTable {
  readonly #types: Readonly<Record<string, ColumnType>>;
  readonly #nullable: readonly string[];
  readonly #bytes: ByteWriter;
  readonly #parquet: ParquetWriter;

  private constructor(
    types: Readonly<Record<string, ColumnType>>,
    nullable: readonly string[],
    bytes: ByteWriter,
    open: (columnData: ReturnType<ParquetTable['column']>[]) => ParquetWriter,
  ) {
    this.#types = types;
    this.#nullable = nullable;
    this.#bytes = bytes;
    this.#parquet = open(Object.keys(types).map((name) => this.column(name, [])));
  }

  /**
   * @param tool that makes the table, recorded in it
   * @throws ERR_TRACIN_ENGINE where hyparquet-writer is not installed
   */
  static async open(tool: string, types: Readonly<Record<string, ColumnType>>, nullable: readonly string[] = []): Promise<ParquetTable> {
    const writer = await import('hyparquet-writer').catch((cause: unknown) => {
      throw new TracinError('ERR_TRACIN_ENGINE', 'hyparquet-writer does not load: run `npm install hyparquet-writer`', { cause });
    });
    const bytes = new writer.ByteWriter();
    return new ParquetTable(types, nullable, bytes, (columnData) => {
      return new writer.ParquetWriter({ writer: bytes, schema: writer.schemaFromColumnData({ columnData }), createdBy: tool });
    });
  }

  private column(name: string, data: readonly unknown[]) {
    return { name, data: data as unknown[], type: this.#types[name]!, nullable: this.#nullable.includes(name) };
  }

  /** Adds rows as one row group; none is no group. */
  async add(columns: Columns): Promise<void> {
    const columnData = Object.entries(columns).map(([name, data]) => this.column(name, data));
    const rowGroupSize = columnData[0]!.data.length;
    if (rowGroupSize > 0) await this.#parquet.write({ columnData, rowGroupSize });
  }

  async finish(): Promise<void> {
    await this.#parquet.finish();
  }

  /** The bytes since the last call, ready to be handed over. */
  taken(): Served {
    const result = this.#bytes.getBytes().slice();
    this.#bytes.index = 0;
    return { result, transfer: [result.buffer] };
  }
}
