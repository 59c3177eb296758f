-- why the comparison: a mark only rises
UPDATE instance
SET forget_below = input.forget_below
FROM input
WHERE instance.part = input.part AND instance.id = input.instance
  AND instance.forget_below < input.forget_below
