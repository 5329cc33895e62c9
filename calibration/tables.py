"""Writes the column `text` of a dataset's Parquet or Arrow file to standard output, as the JSON line of one document whose rows are
parted by an empty line (so GPTQ reads wikitext2), at most as many bytes of text as the second argument says."""
import json
import sys


def rows(path):
    if path.endswith(".parquet"):
        import pyarrow.parquet
        batches = pyarrow.parquet.ParquetFile(path).iter_batches(columns=["text"])
    else:
        import pyarrow.ipc
        batches = pyarrow.ipc.open_stream(path)
    for batch in batches:
        yield from batch.column("text").to_pylist()


def main():
    path, limit = sys.argv[1], int(sys.argv[2])
    texts, size = [], 0
    try:
        for text in rows(path):
            size += len((text or "").encode()) + 2
            if size > limit:
                break
            texts.append(text or "")
    except ImportError:
        sys.exit("Parquet and Arrow files need Python's package pyarrow")
    except Exception as error:  # what pyarrow says of a damaged file
        sys.exit(str(error).splitlines()[0])
    print(json.dumps({"text": "\n\n".join(texts)}))


main()
