//! Rows in RowBinary: the types of their columns, and one walk over their bytes with several uses
//! (validating, printing as JSON). Knows ClickHouse's encodings, not ClickHouse.
