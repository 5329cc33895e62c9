// Tiles a product with its epilogue wholly: tasks of 64 rows, register tiles of 4 tokens x 16 rows, 32 columns at a time.
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%module: !transform.any_op) {
    %root = transform.structured.match ops{["linalg.generic"]} in %module : (!transform.any_op) -> !transform.any_op
    %tasks, %forall = transform.structured.fuse %root tile_sizes [0, 64] {use_forall} : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    %tiles, %rows, %tokens = transform.structured.fuse %tasks tile_sizes [4, 16] interchange [1, 0]
      : (!transform.any_op) -> (!transform.any_op, !transform.any_op, !transform.any_op)
    %sum = transform.structured.match ops{["qf.contract"]} in %module : (!transform.any_op) -> !transform.any_op
    %part, %columns = transform.structured.tile_using_for %sum tile_sizes [0, 0, 32] : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}
