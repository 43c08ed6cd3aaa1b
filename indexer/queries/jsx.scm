; Elements are calls of their components.

(jsx_opening_element name: [(identifier) @ref.call (member_expression property: (property_identifier) @ref.call)])
(jsx_self_closing_element
  name: [(identifier) @ref.call (member_expression property: (property_identifier) @ref.call)])
(jsx_attribute (property_identifier) @ref.other)
